use drivetap_core::ProxySettings;

/// The settings in reqwest's form.
pub(super) fn of(settings: &ProxySettings) -> Result<Option<reqwest::Proxy>, reqwest::Error> {
    let Some(url) = settings.expose_url() else {
        return Ok(None);
    };
    let except = settings.no_proxy().and_then(reqwest::NoProxy::from_string);
    // `https` is what is fetched; the proxy itself can be either. Graph over plain HTTP is loopback, which has no proxy.
    let proxy = reqwest::Proxy::https(url).map_err(reqwest::Error::without_url)?;
    Ok(Some(proxy.no_proxy(except)))
}
