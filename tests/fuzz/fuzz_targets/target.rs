//! Paths: a decoded one never leaves the root.

#![no_main]

use std::borrow::Cow;
use std::path::{Component, Path};

use edgeloop::proto::http1::decode_path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|raw: &str| {
    let Ok(path) = decode_path(raw) else {
        return;
    };
    assert!(raw.starts_with('/') && path.len() <= raw.len());
    let name = path.strip_prefix('/').expect("it is absolute");
    assert!(!name.contains("//") && !name.starts_with('/'));
    assert!(!name.chars().any(|char| char.is_control() || char == '\\'));
    assert!(!name.split('/').any(|segment| matches!(segment, "." | "..")));
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    assert!(Path::new(name).components().all(plain), "{name:?}");
    assert!(Path::new("/root").join(name).starts_with("/root"));

    // With its percent signs encoded again it means itself, and only that.
    let encoded = path.replace('%', "%25");
    assert_eq!(decode_path(&encoded).as_deref(), Ok(&*path));
    if !path.contains('%') && !path.contains("/.") {
        assert!(matches!(decode_path(&path), Ok(Cow::Borrowed(same)) if same == path));
    }
});
