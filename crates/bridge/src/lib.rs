//! The pipeline from Graph and socket.io to sinks, and the facade for library users.
