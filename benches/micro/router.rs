//! Routes.

use divan::Bencher;
use edgeloop::web::Method;

use crate::components::router;

#[divan::bench(args = ["/chat", "/css/base.css"])]
fn server(bencher: Bencher<'_, '_>, path: &str) {
    router::server(bencher, Method::Get, path);
}

/// Another method than the path has.
#[divan::bench]
fn not_allowed(bencher: Bencher<'_, '_>) {
    router::server(bencher, Method::Delete, "/login");
}

#[divan::bench]
fn two_parameters(bencher: Bencher<'_, '_>) {
    router::parameters(bencher);
}

#[divan::bench]
fn nothing(bencher: Bencher<'_, '_>) {
    router::nothing(bencher);
}
