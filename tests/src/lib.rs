//! Journeys and faults over the real binary. All of it is in `tests/`, one binary for each kind.
