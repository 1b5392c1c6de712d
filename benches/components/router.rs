//! Ways from a method and a path to a route.

use std::hint::black_box;

use edgeloop::app::routes;
use edgeloop::web::{Method, RouteMatch, Router};

use super::Repeat;

/// A way through the table of the server, where a path that leads nowhere else is that of a file.
pub(crate) fn server(repeat: impl Repeat, method: Method<'static>, path: &str) {
    let table = routes::table().unwrap();
    // Where a text lies counts for how it is read, and where a constant does, changes with each build.
    let path: Box<str> = path.into();
    repeat.repeat(|| match table.find(black_box(method), black_box(&path)) {
        RouteMatch::Route(_, parameters) => parameters.get("file").map(str::len),
        RouteMatch::NotAllowed(allow) => Some(allow.len()),
        other => panic!("{other:?}"),
    });
}

/// A table of an API, with parameters and without a route for the rest.
fn api() -> Router<u32> {
    let mut table = Router::new();
    let paths = [
        "/",
        "/login",
        "/users",
        "/users/{user}",
        "/users/{user}/avatar",
        "/rooms",
        "/rooms/{room}",
        "/rooms/{room}/members",
        "/rooms/{room}/messages",
        "/rooms/{room}/messages/{message}",
    ];
    for (path, route) in paths.into_iter().zip(0..) {
        table.add(Method::Get, path, route).unwrap();
    }
    table
}

/// A path with two parameters, which are asked for.
pub(crate) fn parameters(repeat: impl Repeat) {
    let table = api();
    let path = "/rooms/general/messages/19411206";
    repeat.repeat(|| match table.find(Method::Get, black_box(path)) {
        RouteMatch::Route(route, parameters) => {
            black_box((parameters.get("room"), parameters.get("message")));
            *route
        }
        other => panic!("{other:?}"),
    });
}

/// A path that nearly leads somewhere.
pub(crate) fn nothing(repeat: impl Repeat) {
    let table = api();
    let path = "/rooms/general/message/19411206";
    repeat.repeat(|| {
        let found = table.find(Method::Get, black_box(path));
        assert!(matches!(found, RouteMatch::Nothing));
    });
}
