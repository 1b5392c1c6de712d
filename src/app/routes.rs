//! Which path and method lead where.

use crate::web::Method;

/// What a request is for.
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
    /// `GET /ws`, and `GET /` with an upgrade.
    Chat,
    /// A page, by the name of its file.
    Page(&'static str),
    /// Anything else that may be a file.
    File,
    /// `OPTIONS`, with what may be asked there.
    Options(&'static str),
    /// A known path, another method; with what may be asked there.
    NotAllowed(&'static str),
}

/// What the server understands at all: the answer to `OPTIONS *` (RFC 9110 §9.3.7).
pub const METHODS: &str = "GET, HEAD, POST, PUT, OPTIONS";
const FILE_METHODS: &str = "GET, HEAD, OPTIONS";

impl Route {
    /// Finds the way for a decoded path. `upgrade`: the client asks for a WebSocket.
    pub fn find(method: Method<'_>, path: &str, upgrade: bool) -> Self {
        let page = match path {
            "/" if upgrade => return Self::chat(method),
            "/ws" => return Self::chat(method),
            "/me" => return Self::me(method),
            "/" => "/index.html",
            "/login" => "/login.html",
            "/register" => "/register.html",
            "/profile" => "/profile.html",
            "/chat" => "/chat.html",
            _ => return Self::file(method),
        };
        let form = match path {
            "/login" => Some(Self::Login),
            "/register" => Some(Self::Register),
            _ => None,
        };
        let allow = if form.is_some() {
            "GET, HEAD, POST, OPTIONS"
        } else {
            FILE_METHODS
        };
        match (method, form) {
            (Method::Get | Method::Head, _) => Self::Page(page),
            (Method::Post, Some(route)) => route,
            (Method::Options, _) => Self::Options(allow),
            _ => Self::NotAllowed(allow),
        }
    }

    fn chat(method: Method<'_>) -> Self {
        match method {
            Method::Get => Self::Chat,
            Method::Options => Self::Options("GET, OPTIONS"),
            _ => Self::NotAllowed("GET, OPTIONS"),
        }
    }

    fn me(method: Method<'_>) -> Self {
        const ALLOW: &str = "GET, HEAD, PUT, OPTIONS";
        match method {
            Method::Get | Method::Head => Self::Me,
            Method::Put => Self::UpdateMe,
            Method::Options => Self::Options(ALLOW),
            _ => Self::NotAllowed(ALLOW),
        }
    }

    fn file(method: Method<'_>) -> Self {
        match method {
            Method::Options => Self::Options(FILE_METHODS),
            _ => Self::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_contract() {
        let find = |method: &'static str, path| Route::find(Method::from(method), path, false);
        assert_eq!(find("POST", "/register"), Route::Register);
        assert_eq!(find("POST", "/login"), Route::Login);
        assert_eq!(find("GET", "/me"), Route::Me);
        assert_eq!(find("PUT", "/me"), Route::UpdateMe);
        assert_eq!(find("GET", "/"), Route::Page("/index.html"));
        assert_eq!(find("HEAD", "/chat"), Route::Page("/chat.html"));
        assert_eq!(find("GET", "/css/base.css"), Route::File);
        assert_eq!(find("GET", "/ws"), Route::Chat);
        assert_eq!(Route::find(Method::Get, "/", true), Route::Chat);
        assert_eq!(
            find("OPTIONS", "/anything"),
            Route::Options("GET, HEAD, OPTIONS")
        );
        assert_eq!(
            find("DELETE", "/login"),
            Route::NotAllowed("GET, HEAD, POST, OPTIONS")
        );
        assert_eq!(find("POST", "/ws"), Route::NotAllowed("GET, OPTIONS"));
    }
}
