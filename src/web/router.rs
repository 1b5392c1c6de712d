//! Which method and path lead where.

use std::fmt;

use super::Method;

/// A table of routes: a method and a path lead to a value, be it a name or a function.
///
/// Paths may have parameters, a whole segment or the end of one: `/users/{id}`, `/{name}.json`; and at
/// their end a catch-all of at least one byte, `/files/{*path}`. What is more exact goes first, whatever
/// the order of adding. GET answers HEAD too (RFC 9110 §9.3.2).
///
/// ```
/// use edgeloop::web::{RouteMatch, Method, Router};
///
/// #[derive(Debug, PartialEq)]
/// enum Route {
///     Users,
///     User,
/// }
///
/// let mut router = Router::new();
/// router.add(Method::Get, "/users", Route::Users)?;
/// router.add(Method::Get, "/users/{id}", Route::User)?;
/// router.add(Method::Delete, "/users/{id}", Route::User)?;
///
/// match router.find(Method::Head, "/users/7") {
///     RouteMatch::Route(Route::User, parameters) => assert_eq!(parameters.get("id"), Some("7")),
///     other => panic!("{other:?}"),
/// }
/// match router.find(Method::Put, "/users/7") {
///     RouteMatch::NotAllowed(allow) => assert_eq!(allow, "GET, HEAD, DELETE, OPTIONS"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), edgeloop::web::RouteError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Router<T> {
    /// Places in `table`.
    paths: matchit::Router<usize>,
    table: Vec<Methods<T>>,
}

/// Methods of one path.
#[derive(Clone, Debug)]
struct Methods<T> {
    path: Box<str>,
    routes: Vec<(Method<'static>, T)>,
    any: Option<T>,
    /// The value of Allow.
    allow: String,
}

/// Match of a method and a path.
#[derive(Debug)]
pub enum RouteMatch<'r, 'p, T> {
    /// A route, with the parameters of its path.
    Route(&'r T, Parameters<'r, 'p>),
    /// `OPTIONS` of a known path: the value for Allow (RFC 9110 §9.3.7).
    Options(&'r str),
    /// A known path, another method: the value for Allow (RFC 9110 §15.5.6).
    NotAllowed(&'r str),
    /// No such path.
    Nothing,
}

/// The parts of a path that a route has names for.
#[derive(Clone, Debug)]
pub struct Parameters<'r, 'p>(matchit::Params<'r, 'p>);

impl<'p> Parameters<'_, 'p> {
    /// The part with that name, as it stands in the path.
    pub fn get(&self, name: &str) -> Option<&'p str> {
        self.0.get(name)
    }
}

/// Why a route cannot be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteError(String);

impl fmt::Display for RouteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RouteError {}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Router<T> {
    /// A table without routes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            paths: matchit::Router::new(),
            table: Vec::new(),
        }
    }

    /// Adds a route.
    ///
    /// # Errors
    /// The path is malformed, another one means the same with other names, or the method has a route
    /// there.
    pub fn add(&mut self, method: Method<'static>, path: &str, to: T) -> Result<(), RouteError> {
        let methods = self.methods(path)?;
        if methods.routes.iter().any(|(other, _)| *other == method) {
            return Err(RouteError(format!(
                "{} {path} is there already",
                method.as_str()
            )));
        }
        methods.routes.push((method, to));
        methods.allow = allow(methods.routes.iter().map(|(method, _)| *method));
        Ok(())
    }

    /// Adds a route for all methods that have none of their own there, OPTIONS included.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub fn add_any(&mut self, path: &str, to: T) -> Result<(), RouteError> {
        match self.methods(path)?.any.replace(to) {
            None => Ok(()),
            Some(_) => Err(RouteError(format!(
                "{path} is there already, for any method"
            ))),
        }
    }

    /// Finds the way for a method and a path, which is best decoded before:
    /// [`Request::decoded_path`](super::Request::decoded_path).
    pub fn find<'r, 'p>(&'r self, method: Method<'_>, path: &'p str) -> RouteMatch<'r, 'p, T> {
        let Ok(matchit::Match { value, params }) = self.paths.at(path) else {
            return RouteMatch::Nothing;
        };
        let Some(methods) = self.table.get(*value) else {
            return RouteMatch::Nothing;
        };
        let with = |method: Method<'_>| {
            let mut routes = methods.routes.iter();
            routes.find_map(|(other, to)| (*other == method).then_some(to))
        };
        let found = with(method).or_else(|| match method {
            Method::Head => with(Method::Get),
            _ => None,
        });
        match (found.or(methods.any.as_ref()), method) {
            (Some(to), _) => RouteMatch::Route(to, Parameters(params)),
            (None, Method::Options) => RouteMatch::Options(&methods.allow),
            (None, _) => RouteMatch::NotAllowed(&methods.allow),
        }
    }

    fn methods(&mut self, path: &str) -> Result<&mut Methods<T>, RouteError> {
        if !path.starts_with('/') {
            return Err(RouteError(format!("{path} does not start with a slash")));
        }
        let mut known = self.table.iter();
        let place = match known.position(|methods| &*methods.path == path) {
            Some(place) => place,
            None => {
                let inserted = self.paths.insert(path, self.table.len());
                inserted.map_err(|error| RouteError(format!("{path}: {error}")))?;
                self.table.push(Methods {
                    path: path.into(),
                    routes: Vec::new(),
                    any: None,
                    allow: String::from("OPTIONS"),
                });
                self.table.len() - 1
            }
        };
        let methods = self.table.get_mut(place);
        methods.ok_or_else(|| RouteError(format!("{path} is nowhere")))
    }
}

/// The value of Allow for these methods: HEAD goes with GET, and OPTIONS with all.
fn allow(methods: impl Iterator<Item = Method<'static>>) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut add = |name| {
        if !names.contains(&name) {
            names.push(name);
        }
    };
    for method in methods {
        add(method.as_str());
        if method == Method::Get {
            add("HEAD");
        }
    }
    add("OPTIONS");
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[(&'static str, &str)]) -> Router<usize> {
        let mut router = Router::new();
        for (number, (method, path)) in routes.iter().enumerate() {
            router.add(Method::from(*method), path, number).unwrap();
        }
        router
    }

    /// The number of the route and its parameter `p`, or what else was found.
    fn find(router: &Router<usize>, method: &str, path: &str) -> String {
        match router.find(Method::from(method), path) {
            RouteMatch::Route(number, parameters) => {
                format!("{number} {}", parameters.get("p").unwrap_or("-"))
            }
            RouteMatch::Options(allow) => format!("options {allow}"),
            RouteMatch::NotAllowed(allow) => format!("405 {allow}"),
            RouteMatch::Nothing => "404".to_owned(),
        }
    }

    #[test]
    fn what_is_more_exact_goes_first() {
        let router = router(&[
            ("GET", "/{*p}"),
            ("GET", "/"),
            ("GET", "/a/{p}"),
            ("GET", "/a/b"),
            ("POST", "/a/{p}"),
            ("GET", "/a/{p}/c"),
            ("HEAD", "/a/b"),
            ("PURGE", "/a/b"),
        ]);
        for (method, path, want) in [
            ("GET", "/", "1 -"),
            ("GET", "/x", "0 x"),
            ("GET", "/x/y/", "0 x/y/"),
            ("GET", "/a/b", "3 -"),
            ("GET", "/a/bb", "2 bb"),
            ("GET", "/a/é b", "2 é b"),
            ("GET", "/a/x/c", "5 x"),
            ("GET", "/a/x/d", "0 a/x/d"),
            ("HEAD", "/a/x", "2 x"),
            ("HEAD", "/a/b", "6 -"),
            ("PURGE", "/a/b", "7 -"),
            ("purge", "/a/b", "405 GET, HEAD, PURGE, OPTIONS"),
            ("POST", "/a/x", "4 x"),
            ("POST", "/a/b", "405 GET, HEAD, PURGE, OPTIONS"),
            ("PUT", "/a/x", "405 GET, HEAD, POST, OPTIONS"),
            ("OPTIONS", "/a/x", "options GET, HEAD, POST, OPTIONS"),
            ("GET", "", "404"),
            ("GET", "*", "404"),
        ] {
            assert_eq!(find(&router, method, path), want, "{method} {path}");
        }
    }

    #[test]
    fn a_route_for_any_method_is_the_last_resort() {
        let mut router = router(&[("GET", "/{p}")]);
        router.add_any("/{p}", 1).unwrap();
        router.add_any("/{p}/{*rest}", 2).unwrap();
        assert_eq!(find(&router, "GET", "/x"), "0 x");
        assert_eq!(find(&router, "HEAD", "/x"), "0 x");
        assert_eq!(find(&router, "OPTIONS", "/x"), "1 x");
        assert_eq!(find(&router, "BREW", "/x/y/z"), "2 x");
        assert_eq!(find(&router, "GET", "/"), "404");
    }

    #[test]
    fn what_cannot_be_added_is_told() {
        let mut router = router(&[("GET", "/a/{p}")]);
        for (method, path, want) in [
            ("GET", "/a/{p}", "GET /a/{p} is there already"),
            ("PUT", "/a/{q}", "/a/{q}: "),
            ("GET", "a", "a does not start with a slash"),
            ("GET", "/{", "/{: "),
            ("GET", "/{*p}/a", "/{*p}/a: "),
        ] {
            let error = router.add(Method::from(method), path, 9).unwrap_err();
            assert!(error.to_string().starts_with(want), "{error}");
        }
        router.add_any("/a/{p}", 1).unwrap();
        assert!(router.add_any("/a/{p}", 2).is_err());
        assert_eq!(find(&router, "GET", "/a/x"), "0 x");
    }
}
