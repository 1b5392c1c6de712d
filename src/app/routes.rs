//! Which path and method lead where.

use crate::web::{Method, RouteError, Router};

/// Target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `POST /register`
    Register,
    /// `POST /login`
    Login,
    /// `GET /me`
    Me,
    /// `PUT /me`
    UpdateMe,
    /// `GET /ws`
    Chat,
    /// `GET /`, a page or with an upgrade the chat.
    Home,
    /// `GET /healthz`
    Live,
    /// `GET /readyz`
    Ready,
    /// Another page, by the name of its file.
    Page(&'static str),
    /// Anything else that may be a file.
    File,
}

impl Route {
    /// Returns `true` if a WebSocket can be opened there.
    pub fn takes_websocket(self) -> bool {
        matches!(self, Self::Chat | Self::Home)
    }
}

/// The file of the page at `/`.
pub const HOME: &str = "/index.html";

/// Methods the server knows: the response to `OPTIONS *` (RFC 9110 §9.3.7).
pub const METHODS: &str = "GET, HEAD, POST, PUT, OPTIONS";
/// Methods for files.
pub const FILE_METHODS: &str = "GET, HEAD, OPTIONS";

/// The table of the contract.
///
/// # Errors
/// There is a mistake in it.
pub fn table() -> Result<Router<Route>, RouteError> {
    let mut table = Router::new();
    for (method, path, route) in [
        (Method::Get, "/", Route::Home),
        (Method::Get, "/login", Route::Page("/login.html")),
        (Method::Post, "/login", Route::Login),
        (Method::Get, "/register", Route::Page("/register.html")),
        (Method::Post, "/register", Route::Register),
        (Method::Get, "/profile", Route::Page("/profile.html")),
        (Method::Get, "/chat", Route::Page("/chat.html")),
        (Method::Get, "/me", Route::Me),
        (Method::Put, "/me", Route::UpdateMe),
        (Method::Get, "/ws", Route::Chat),
        (Method::Get, "/healthz", Route::Live),
        (Method::Get, "/readyz", Route::Ready),
    ] {
        table.add(method, path, route)?;
    }
    table.add_any("/{*file}", Route::File)?;
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::RouteMatch;

    #[test]
    fn the_table_of_the_contract() {
        let table = table().unwrap();
        for (method, path, route) in [
            ("POST", "/register", Route::Register),
            ("POST", "/login", Route::Login),
            ("GET", "/me", Route::Me),
            ("PUT", "/me", Route::UpdateMe),
            ("GET", "/", Route::Home),
            ("HEAD", "/chat", Route::Page("/chat.html")),
            ("GET", "/css/base.css", Route::File),
            ("OPTIONS", "/anything", Route::File),
            ("GET", "/ws", Route::Chat),
        ] {
            let found = table.find(Method::from(method), path);
            assert!(
                matches!(found, RouteMatch::Route(found, _) if *found == route),
                "{path}"
            );
        }
        for (method, path, allow) in [
            ("DELETE", "/login", "GET, HEAD, POST, OPTIONS"),
            ("POST", "/ws", "GET, HEAD, OPTIONS"),
            ("PATCH", "/me", "GET, HEAD, PUT, OPTIONS"),
        ] {
            let found = table.find(Method::from(method), path);
            assert!(
                matches!(found, RouteMatch::NotAllowed(found) if found == allow),
                "{path}"
            );
            let found = table.find(Method::Options, path);
            assert!(
                matches!(found, RouteMatch::Options(found) if found == allow),
                "{path}"
            );
        }
    }
}
