//! Subscription model, Graph path builder, notifications, events and the Feed state machine: no runtime, no socket, no clock.
