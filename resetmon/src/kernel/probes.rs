//! The probe table and its verdicts.
