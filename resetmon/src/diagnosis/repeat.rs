//! Further packets of one logical reset.
