//! Microsoft Graph over HTTPS: the socketIo endpoint, drive, delta and tokens.
