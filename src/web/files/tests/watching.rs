use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::Watcher;
use super::super::watcher::Watch;
use super::*;

/// Far more than it takes.
const DEADLINE: Duration = Duration::from_secs(60);

fn watch(root: &TempDir, options: &FileOptions) -> (Arc<Snapshot>, Watch) {
    let first = Arc::new(load(root, options));
    let watch = Watch::new(root.path(), options.clone(), Arc::clone(&first));
    (first, watch)
}

fn start(root: &TempDir) -> (Watcher, Receiver<Arc<Snapshot>>) {
    let options = FileOptions::default();
    let first = Arc::new(load(root, &options));
    let (sender, receiver) = mpsc::channel();
    let changed = move |folder| sender.send(folder).unwrap();
    let watcher = Watcher::start(root.path(), options, first, changed).unwrap();
    (watcher, receiver)
}

#[test]
fn a_change_is_called_back() {
    let root = root(&[("a", "1"), ("b", "2")]);
    let (watcher, changes) = start(&root);
    write(root.path(), "a", "3");
    // A look may fall between the file's being cut and its being written.
    let next = || changes.recv_timeout(DEADLINE).unwrap();
    while text(&next(), "/a").as_deref() != Some("3") {}
    fs::remove_file(root.path().join("b")).unwrap();
    while text(&next(), "/b").is_some() {}
    drop(watcher);
    // The thread has ended, and its callback with it.
    assert!(
        changes
            .try_recv()
            .is_err_and(|e| e == mpsc::TryRecvError::Disconnected)
    );
}

#[test]
fn the_callback_may_end_the_watch() {
    let root = root(&[("a", "1")]);
    let options = FileOptions::default();
    let first = Arc::new(load(&root, &options));
    let held = Arc::new(Mutex::new(None));
    let (sender, done) = mpsc::channel();
    let changed = {
        let held = Arc::clone(&held);
        move |_| {
            drop(held.lock().unwrap().take());
            sender.send(()).unwrap();
        }
    };
    let mut slot = held.lock().unwrap();
    *slot = Some(Watcher::start(root.path(), options, first, changed).unwrap());
    drop(slot);
    write(root.path(), "a", "2");
    assert_eq!(done.recv_timeout(DEADLINE), Ok(()));
    let ended = done.recv_timeout(DEADLINE);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn only_news_is_told() {
    let root = root(&[("a", "1")]);
    let (_first, mut watch) = watch(&root, &FileOptions::default());
    assert!(watch.scan().is_none());
    write(root.path(), "b", "2");
    let news = watch.scan().unwrap();
    assert_eq!(text(&news, "/b").as_deref(), Some("2"));
    assert!(watch.scan().is_none());
    // What is not served is not news.
    write(root.path(), ".hidden", "3");
    assert!(watch.scan().is_none());
}

#[test]
fn the_last_picture_stays_while_there_is_no_folder() {
    let root = root(&[("public/a", "1"), ("next/a", "2")]);
    let at = |name: &str| root.path().join(name);
    let options = FileOptions::default();
    let first = Arc::new(Snapshot::load(&at("public"), &options).unwrap());
    let mut watch = Watch::new(&at("public"), options, first);
    fs::rename(at("public"), at("old")).unwrap();
    assert!(watch.scan().is_none());
    assert!(watch.scan().is_none());
    fs::rename(at("next"), at("public")).unwrap();
    let news = watch.scan().unwrap();
    assert_eq!(text(&news, "/a").as_deref(), Some("2"));
}

#[test]
fn what_is_replaced_is_closed_by_the_thread_that_watches() {
    let root = root(&[("index.html", "a large page")]);
    let options = small();
    let (first, mut watch) = watch(&root, &options);
    let mut download = None;
    ask("GET", &[], |request| {
        let response = first.respond(request, "/").unwrap();
        download = response.file().map(|part| part.file.open().unwrap());
        response
    });
    let file = Arc::downgrade(download.as_ref().unwrap());
    fs::remove_file(root.path().join("index.html")).unwrap();
    let news = watch.scan().unwrap();
    assert!(news.is_empty());
    // The service takes the news; its last use of the old one is the download.
    let snapshot = Arc::downgrade(&first);
    drop(first);
    assert_eq!(snapshot.strong_count(), 1, "not freed by the service");
    watch.scan();
    assert_eq!(snapshot.strong_count(), 0);
    assert_eq!(file.strong_count(), 2, "the download's, and the watch's");
    drop(download);
    assert_eq!(file.strong_count(), 1, "not closed by the download's end");
    watch.scan();
    assert_eq!(file.strong_count(), 0);
}

#[test]
fn a_folder_is_looked_at_when_something_may_have_changed() {
    let root = root(&[("a", "1"), ("sub/b", "2")]);
    let (_first, mut watch) = watch(&root, &FileOptions::default());
    // Nobody has watched before the first look.
    watch.scan_if_due();
    assert_eq!(watch.quiet(), 0);
    watch.settle(true);
    for quiet in 1..60 {
        assert!(watch.scan_if_due().is_none());
        assert_eq!(watch.quiet(), quiet);
    }
    watch.scan_if_due();
    assert_eq!(watch.quiet(), 0, "one look after a minute in any case");
    watch.settle(true);
    watch.scan_if_due();
    assert_eq!(watch.quiet(), 1);
    // While files are new their stamps do not tell.
    watch.settle(false);
    watch.scan_if_due();
    assert_eq!(watch.quiet(), 0);
    watch.settle(true);
    write(root.path(), "sub/b", "longer");
    let news = watch.scan_if_due().unwrap();
    assert_eq!(text(&news, "/sub/b").as_deref(), Some("longer"));
    // Also in a folder that is new itself.
    write(root.path(), "new/folder/c", "4");
    let news = watch.scan_if_due().unwrap();
    assert_eq!(text(&news, "/new/folder/c").as_deref(), Some("4"));
    watch.settle(true);
    write(root.path(), "new/folder/c", "longer");
    let news = watch.scan_if_due().unwrap();
    assert_eq!(text(&news, "/new/folder/c").as_deref(), Some("longer"));
}
