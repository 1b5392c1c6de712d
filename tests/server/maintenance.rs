//! `edgeloop check-db` and `edgeloop backup`, beside a running server and without one.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::command::{Finished, edgeloop, run};
use crate::support::{Folder, Server};

fn command(folder: &Folder, args: &[&str]) -> Finished {
    let mut command = edgeloop();
    // Who looks after the database need not have the secret.
    command
        .args(args)
        .arg("--config")
        .arg(folder.file("server.conf"))
        .env_remove("SECRET_KEY")
        .current_dir(folder.path());
    run(&mut command)
}

#[test]
fn a_running_database_is_checked_and_copied() {
    let server = Server::start();
    server.register("ann");
    let folder = server.folder();
    let checked = command(folder, &["check-db"]);
    assert_eq!(checked.code(), Some(0), "{}", checked.stderr);
    assert!(
        checked.stdout.ends_with("is sound and has 1 users\n"),
        "{}",
        checked.stdout
    );

    // Copies while others are written.
    let is_over = AtomicBool::new(false);
    let registered = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut count = 1;
            while !is_over.load(Ordering::Relaxed) {
                server.register(&format!("user_{count}"));
                count += 1;
            }
            count
        });
        for number in 0..5 {
            let name = format!("copy-{number}.db");
            let copied = command(folder, &["backup", &name]);
            assert_eq!(copied.code(), Some(0), "{}", copied.stderr);
            let mode = std::fs::metadata(folder.file(&name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        is_over.store(true, Ordering::Relaxed);
        writing.join().unwrap()
    });
    let last = command(folder, &["backup", "last.db"]);
    assert_eq!(last.stdout, format!("last.db has {registered} users\n"));
    let again = command(folder, &["backup", "last.db"]);
    assert_eq!(again.code(), Some(1));
    assert!(
        again.stderr.contains("last.db: exists already"),
        "{}",
        again.stderr
    );
    assert!(!folder.file("last.db.part").exists());

    // A server starts from it, and knows everybody.
    let other = Folder::new();
    std::fs::copy(folder.file("last.db"), other.file("users.db")).unwrap();
    other.configure("");
    let restored = other.start();
    restored.login("ann");
    restored.login("user_1");
}

#[test]
fn damage_is_found() {
    let server = Server::start();
    for number in 0..20 {
        server.register(&format!("user_{number}"));
    }
    let folder = server.folder().clone();
    assert_eq!(server.stop().code(), Some(0));
    assert_eq!(command(&folder, &["check-db"]).code(), Some(0));
    let path = folder.file("users.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 3000].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    for args in [&["check-db"][..], &["backup", "copy.db"]] {
        let done = command(&folder, args);
        assert_eq!(done.code(), Some(1), "{}", done.stdout);
        assert!(done.stderr.contains("users.db"), "{}", done.stderr);
    }
    assert!(!folder.file("copy.db").exists());
    assert!(!folder.file("copy.db.part").exists());

    std::fs::write(&path, "no database at all, but long enough to be looked at").unwrap();
    let done = command(&folder, &["check-db"]);
    assert_eq!(done.code(), Some(1));
    assert!(done.stderr.contains("not a database"), "{}", done.stderr);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(command(&folder, &["check-db"]).code(), Some(1));
    assert!(!path.exists(), "it was not made");
}
