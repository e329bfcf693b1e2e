//! What a person does to sign in: at the identity platform's pages, and in a browser.

use super::get;

/// The code in "… and enter the code ABCDEF123".
pub(crate) fn code_in(text: &str) -> String {
    let (_, after) = text.split_once("enter the code ").unwrap();
    after.chars().take_while(char::is_ascii_alphanumeric).collect()
}

/// What a browser does with a page that sends it on: the status and the body at the end, and where that was.
pub(crate) async fn browse(url: &str) -> (u16, String, String) {
    let page = client().get(url).send().await.unwrap();
    let location = page.headers().get("Location").unwrap().to_str().unwrap().to_owned();
    let (status, body) = visit(&location).await;
    (status, body, location)
}

/// Asks drivetap's own page on the loopback address: the status and the body.
pub(crate) async fn visit(url: &str) -> (u16, String) {
    // The browser resolves `localhost`, and tries 127.0.0.1 when nobody answers at ::1.
    let address = url.strip_prefix("http://localhost:").unwrap();
    let (port, path) = address.split_once('/').unwrap();
    get(&format!("127.0.0.1:{port}"), &format!("/{path}")).await.unwrap_or((0, String::new()))
}

/// Opens the page that `login` named, and types in its code.
pub(crate) async fn type_in(said: &str) {
    let page = said.split_once("open ").unwrap().1.split(' ').next().unwrap();
    let form = format!("code={}", code_in(said));
    let request = client().post(page).header("Content-Type", "application/x-www-form-urlencoded").body(form);
    let answer = request.send().await.unwrap();
    assert!(answer.status().is_success(), "{page}: {answer:?}");
}

fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}
