//! Microsoft Graph and its socket.io service on loopback, for tests, demos and desks without a tenant.
