//! Bridge OneDrive and SharePoint changes from Microsoft Graph to Kafka, Redis and stdout.
