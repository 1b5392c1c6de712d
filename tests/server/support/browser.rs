//! A real browser, driven through the DevTools protocol.
//!
//! One process, one WebSocket to it; every [`Page`] lives in a browser context of its own, so that
//! two pages are two people who share neither storage nor sign-in.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::rc::Rc;

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::command::Guarded;
use super::deadline::{PATIENCE, poll, wait_for};

/// Names of Chromium, best first.
const PROGRAMS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

const ARGUMENTS: [&str; 11] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--ignore-certificate-errors",
];

/// A running browser.
pub(crate) struct Browser {
    // Fields drop in order: the connection, then the process, then the folder it writes to.
    link: Rc<RefCell<Link>>,
    process: Guarded,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts the browser of this machine.
    ///
    /// If there is none this says so and gives `None`, but on CI (`CI` is set) it fails.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&json!({}))
    }

    /// As [`Browser::start`], with site data blocked: storage throws for every page.
    pub(crate) fn start_without_site_data() -> Option<Self> {
        let blocked = json!({"default_content_setting_values": {"cookies": 2}});
        Self::start_with(&json!({"profile": blocked}))
    }

    fn start_with(preferences: &Value) -> Option<Self> {
        let Some(program) = find_program() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no Chromium on this machine, and CI wants one"
            );
            // Not by `println!`, which a passing test keeps to itself.
            let told =
                b"SKIPPED: no Chromium on this machine, the pages were not tried in a browser\n";
            std::io::stderr()
                .write_all(told)
                .expect("stderr takes a line");
            return None;
        };
        let profile = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(profile.path().join("Default")).unwrap();
        let text = preferences.to_string();
        std::fs::write(profile.path().join("Default/Preferences"), text).unwrap();
        let log = std::fs::File::create(profile.path().join("stderr")).unwrap();
        let mut command = Command::new(program);
        command
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", profile.path().display()));
        // What it writes beside its profile is ours to remove as well.
        command.env("TMPDIR", profile.path());
        command
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let mut process = Guarded::spawn(&mut command);
        let written = wait_for("the browser to open its debugging port", || {
            if let Some(status) = process.ended() {
                let log = std::fs::read_to_string(profile.path().join("stderr"));
                panic!(
                    "the browser ended with {status}:\n{}",
                    log.unwrap_or_default()
                );
            }
            let text = std::fs::read_to_string(profile.path().join("DevToolsActivePort")).ok()?;
            let (port, path) = text.split_once('\n')?;
            Some((port.parse::<u16>().ok()?, path.trim().to_owned()))
                .filter(|(_, path)| !path.is_empty())
        });
        let link = Rc::new(RefCell::new(Link::open(written.0, &written.1)));
        Some(Self {
            link,
            process,
            _profile: profile,
        })
    }

    /// A page of a person of their own.
    pub(crate) fn page(&self) -> Page {
        let mut link = self.link.borrow_mut();
        let context = link.call(None, "Target.createBrowserContext", json!({}));
        let target = json!({"url": "about:blank", "browserContextId": context["browserContextId"]});
        let target = link.call(None, "Target.createTarget", target);
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = link.call(None, "Target.attachToTarget", attach);
        let session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        for domain in [
            "Page.enable",
            "Runtime.enable",
            "Log.enable",
            "Network.enable",
        ] {
            link.call(Some(&session), domain, json!({}));
        }
        Page {
            link: Rc::clone(&self.link),
            session,
        }
    }
}

impl Drop for Browser {
    /// Asks it to end, so that its helpers are gone before their folder is; the kill comes after.
    fn drop(&mut self) {
        if let Ok(mut link) = self.link.try_borrow_mut() {
            drop(link.try_call(None, "Browser.close", json!({})));
        }
        let process = &mut self.process;
        poll(|| process.ended());
    }
}

/// One page.
pub(crate) struct Page {
    link: Rc<RefCell<Link>>,
    session: String,
}

impl Page {
    /// Runs a script in each document of this page from now on, before those of its own.
    pub(crate) fn at_start_of_documents(&self, script: &str) {
        let source = json!({"source": script});
        self.call("Page.addScriptToEvaluateOnNewDocument", source);
    }

    /// Gives a media feature another value than that of this machine.
    pub(crate) fn emulate_media(&self, name: &str, value: &str) {
        let features = json!({"features": [{"name": name, "value": value}]});
        self.call("Emulation.setEmulatedMedia", features);
    }

    /// Loads an address and waits until all of it is there.
    pub(crate) fn navigate(&self, url: &str) {
        let response = self.call("Page.navigate", json!({"url": url}));
        assert!(
            response.get("errorText").is_none(),
            "{url}: {}",
            response["errorText"]
        );
        self.wait_until("document.readyState === 'complete' && location.href !== 'about:blank'");
    }

    /// Loads the page again and waits until all of it is there.
    pub(crate) fn reload(&self) {
        // Marks the old document, whose readyState is `complete` too.
        self.evaluate("window.beforeReload = true");
        self.call("Page.reload", json!({}));
        self.wait_until("!window.beforeReload && document.readyState === 'complete'");
    }

    /// The value of a JavaScript expression; a promise is awaited.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        match self.try_evaluate(expression) {
            Ok(value) => value,
            Err(error) => panic!("{expression}: {error}"),
        }
    }

    fn try_evaluate(&self, expression: &str) -> Result<Value, String> {
        let ask = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let response =
            self.link
                .borrow_mut()
                .try_call(Some(&self.session), "Runtime.evaluate", ask)?;
        if let Some(thrown) = response.get("exceptionDetails") {
            return Err(thrown.to_string());
        }
        Ok(response["result"]["value"].clone())
    }

    /// Waits until an expression is true. One that throws, as in a page that is changing, is not.
    pub(crate) fn wait_until(&self, expression: &str) {
        let mut last = String::new();
        let found = poll(|| {
            let seen = self.try_evaluate(expression);
            last = format!("{seen:?}");
            (seen == Ok(Value::Bool(true))).then_some(())
        });
        if found.is_none() {
            let page = self.try_evaluate("location.href + '\\n' + document.body.innerText");
            panic!(
                "not within {PATIENCE:?}: {expression}\nlast: {last}\npage: {page:?}\nproblems: {:#?}",
                self.problems()
            );
        }
    }

    /// Waits until something matches a selector.
    pub(crate) fn wait_for(&self, selector: &str) {
        self.wait_until(&format!(
            "document.querySelector({}) !== null",
            quoted(selector)
        ));
    }

    /// Waits until the path of the address is this.
    pub(crate) fn wait_for_path(&self, path: &str) {
        self.wait_until(&format!(
            "location.pathname === {} && document.readyState === 'complete'",
            quoted(path)
        ));
    }

    /// Waits until the text of what a selector matches has `text` in it.
    pub(crate) fn wait_for_text(&self, selector: &str, text: &str) {
        self.wait_until(&format!(
            "[...document.querySelectorAll({})].some(found => found.textContent.includes({}))",
            quoted(selector),
            quoted(text)
        ));
    }

    /// The text of the first match, waited for.
    pub(crate) fn text(&self, selector: &str) -> String {
        self.wait_for(selector);
        let text = self.evaluate(&format!(
            "document.querySelector({}).textContent",
            quoted(selector)
        ));
        text.as_str().expect("a text").to_owned()
    }

    /// Clicks the middle of the first match with the mouse, as a person does.
    pub(crate) fn click(&self, selector: &str) {
        self.wait_until(&format!(
            "!!document.querySelector({0}) && !document.querySelector({0}).disabled",
            quoted(selector)
        ));
        let place = self.evaluate(&format!(
            "(() => {{ const found = document.querySelector({}); found.scrollIntoView({{block: 'center'}}); \
             const box = found.getBoundingClientRect(); \
             return [box.x + box.width / 2, box.y + box.height / 2]; }})()",
            quoted(selector)
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", event);
        }
    }

    /// Puts the cursor into the first match and types at its end.
    pub(crate) fn type_into(&self, selector: &str, text: &str) {
        self.wait_for(selector);
        self.evaluate(&format!(
            "document.querySelector({}).focus()",
            quoted(selector)
        ));
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Replaces what is in a field.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        self.wait_for(selector);
        self.evaluate(&format!(
            "document.querySelector({}).select()",
            quoted(selector)
        ));
        self.type_into(selector, text);
    }

    /// Presses the Enter key where the cursor is.
    pub(crate) fn press_enter(&self) {
        let mut event =
            json!({"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"});
        for kind in ["keyDown", "keyUp"] {
            event["type"] = kind.into();
            self.call("Input.dispatchKeyEvent", event.clone());
        }
    }

    /// Problems that the browser reported on this page: uncaught exceptions, console errors, requests
    /// and inline code that its policies refused.
    pub(crate) fn problems(&self) -> Vec<String> {
        // An answer comes after every event before it, so this gathers all there are.
        drop(self.try_evaluate("0"));
        let link = self.link.borrow();
        let ours = link
            .events
            .iter()
            .filter(|event| event["sessionId"] == self.session.as_str());
        ours.filter_map(problem).collect()
    }

    /// Fails when the browser complained.
    pub(crate) fn expect_no_problems(&self) {
        let problems = self.problems();
        assert!(problems.is_empty(), "the browser complains: {problems:#?}");
    }

    fn call(&self, method: &str, parameters: Value) -> Value {
        self.link
            .borrow_mut()
            .call(Some(&self.session), method, parameters)
    }
}

fn problem(event: &Value) -> Option<String> {
    let told = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(told["exceptionDetails"].to_string()),
        "Runtime.consoleAPICalled" if told["type"] == "error" => Some(told["args"].to_string()),
        "Log.entryAdded" if told["entry"]["level"] == "error" => Some(told["entry"].to_string()),
        _ => None,
    }
}

/// The WebSocket to the browser: calls with answers, and events in between.
struct Link {
    socket: WebSocket<TcpStream>,
    last_id: u64,
    events: Vec<Value>,
}

impl Link {
    fn open(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("the debugging port is open");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tungstenite::client(url, stream).expect("the browser upgrades");
        Self {
            socket,
            last_id: 0,
            events: Vec::new(),
        }
    }

    fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        match self.try_call(session, method, parameters) {
            Ok(response) => response,
            Err(error) => panic!("{method}: {error}"),
        }
    }

    fn try_call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: Value,
    ) -> Result<Value, String> {
        self.last_id += 1;
        let mut request = json!({"id": self.last_id, "method": method, "params": parameters});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(request.to_string()))
            .map_err(|error| error.to_string())?;
        loop {
            let message = self.socket.read().map_err(|error| error.to_string())?;
            let Message::Text(text) = message else {
                continue;
            };
            let mut value: Value = serde_json::from_str(&text).expect("DevTools speaks JSON");
            if value["id"] != self.last_id {
                self.events.push(value);
                continue;
            }
            return match value.get("error") {
                Some(error) => Err(error.to_string()),
                None => Ok(value["result"].take()),
            };
        }
    }
}

/// A JavaScript string literal.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn find_program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&folders).collect();
    PROGRAMS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|path| path.is_file())
}
