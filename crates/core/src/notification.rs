use jiff::Timestamp;
use serde_json::{Map, Value};

/// One notification: a tap on the shoulder that says that a drive changed, never what.
///
/// Every field is optional and read by Graph's name; all of them, known or not, are kept and published as sent.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Notification(Map<String, Value>);

impl Notification {
    /// The most entries taken from one frame; a larger frame is refused as a whole.
    pub const MAX_PER_FRAME: usize = 10_000;

    /// Reads the second argument of the `notification` event, given as JSON text.
    ///
    /// It is a JSON string that holds `{"value":[…]}` (verbatim in abraunegg/onedrive#3718); an object in place of the string
    /// and a flat object in place of `value` (yousong/onedriver, 2024) are taken too.
    ///
    /// ```
    /// use drivetap_core::Notification;
    ///
    /// let taps = Notification::parse(r#""{\"value\":[{\"subscriptionId\":\"5554a2f6\"}]}""#)?;
    /// assert_eq!(taps[0].subscription_id(), Some("5554a2f6"));
    /// # Ok::<(), drivetap_core::NotificationError>(())
    /// ```
    ///
    /// # Errors
    /// When it is not JSON, or not one of these shapes. The error does not print the input.
    pub fn parse(argument: &str) -> Result<Vec<Self>, NotificationError> {
        match serde_json::from_str(argument)? {
            Value::String(inner) => Self::from_value(serde_json::from_str(&inner)?),
            value => Self::from_value(value),
        }
    }

    fn from_value(value: Value) -> Result<Vec<Self>, NotificationError> {
        let Value::Object(mut object) = value else {
            return Err(NotificationError::Shape);
        };
        if !matches!(object.get("value"), Some(Value::Array(_))) {
            return Ok(vec![Self(object)]);
        }
        let Some(Value::Array(entries)) = object.remove("value") else {
            return Err(NotificationError::Shape);
        };
        if entries.len() > Self::MAX_PER_FRAME {
            return Err(NotificationError::TooMany);
        }
        let entry = |value| match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(NotificationError::Shape),
        };
        entries.into_iter().map(entry).collect()
    }

    /// `subscriptionId`.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.text("subscriptionId")
    }

    /// `clientState`.
    #[must_use]
    pub fn client_state(&self) -> Option<&str> {
        self.text("clientState")
    }

    /// `expirationDateTime`, or `subscriptionExpirationDateTime` as the consumer backend wrote it in 2024.
    #[must_use]
    pub fn expiration(&self) -> Option<Timestamp> {
        self.text("expirationDateTime").or_else(|| self.text("subscriptionExpirationDateTime"))?.parse().ok()
    }

    /// `resource`: the id of a SharePoint list, not of a drive or an item.
    #[must_use]
    pub fn resource(&self) -> Option<&str> {
        self.text("resource")
    }

    /// `tenantId`.
    #[must_use]
    pub fn tenant_id(&self) -> Option<&str> {
        self.text("tenantId")
    }

    /// `siteUrl`, relative to the server.
    #[must_use]
    pub fn site_url(&self) -> Option<&str> {
        self.text("siteUrl")
    }

    /// `webId`.
    #[must_use]
    pub fn web_id(&self) -> Option<&str> {
        self.text("webId")
    }

    /// `userId`.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.text("userId")
    }

    /// Every field as Graph named it.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }
}

/// A payload that is no notification.
#[derive(Debug, thiserror::Error)]
pub enum NotificationError {
    /// Not JSON, or nested too deeply.
    #[error("the notification is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("the notification is neither an object nor a string that holds one")]
    Shape,
    /// More entries than [`Notification::MAX_PER_FRAME`].
    #[error("the notification holds more than {} entries", Notification::MAX_PER_FRAME)]
    TooMany,
}
