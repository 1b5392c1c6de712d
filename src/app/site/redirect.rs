//! The port that speaks no TLS: it only says where to go.

use super::App;
use crate::app::hosts;
use crate::web::{Endpoint, Request, Response};

impl App {
    /// Returns `true` if a request came by the port that only redirects.
    pub(super) fn is_plain(&self, request: &Request<'_>) -> bool {
        match request.endpoint() {
            Endpoint::Accepted { listener, .. } => !self.secure.contains(&listener),
            _ => false,
        }
    }

    /// Sends clients of the plain port to the same place over HTTPS.
    pub(super) fn redirect(&self, request: &Request<'_>) -> Response {
        let Some(host) = request.host() else {
            return self.responses.error(400, "Host is missing").close();
        };
        if !hosts::is_served(&self.config.server_names, Some(host)) {
            return self
                .responses
                .error(404, "Not a name of this server")
                .close();
        }
        let name = hosts::without_port(host);
        let target = match request.path() {
            "*" => "/", // of OPTIONS
            path => path,
        };
        let query = request
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let port = match (self.config.public_port, self.port) {
            (443, _) | (0, 443) => String::new(),
            (0, port) | (port, _) => format!(":{port}"),
        };
        let location = format!("https://{name}{port}{target}{query}");
        Response::empty(308).field("Location", &location)
    }
}
