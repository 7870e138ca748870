//! The shell: tasks that carry calls to channels and answers back, timers, signals.
