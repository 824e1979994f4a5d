//! Sluice pdata.
