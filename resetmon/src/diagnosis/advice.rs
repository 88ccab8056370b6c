//! What each cause means and what to change.
