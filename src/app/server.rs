//! Starts the server, runs it, and stops it in order.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::thread;

use socket2::SockRef;

use super::accounts::Accounts;
use super::assets;
use super::config::Config;
use super::fd_limit;
use super::handover::{self, Listener, Purpose};
use super::logging::Logging;
use super::memory_limit;
use super::passwords::{Cost, HasherPool};
use super::preflight;
use super::pseudonyms::Pseudonyms;
use super::reload::{ConfigFile, Reloader};
use super::routes;
use super::signals;
use super::site::{App, Mail, apply_to_reactor};
use super::sockets::{self, ListenError};
use super::store::{self, Store};
use super::systemd;
use super::tls_files::{TlsFiles, TlsSettings};
use crate::web::files::Watcher;
use crate::web::{self, Reactor, ReactorConfig, Security, ServiceSender, Web};

/// Everything that the command has checked and opened before the server starts.
#[derive(Debug)]
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// File that is read again on SIGHUP.
    pub config_file: ConfigFile,
    /// Loads the certificate files again on SIGHUP; keeps the ticket keys.
    pub tls_files: TlsFiles,
    /// TLS settings to serve with.
    pub tls: TlsSettings,
    /// Gets the real port as a decimal line once the server listens.
    pub port_file: Option<PathBuf>,
    /// Sockets to listen on instead of those of the configuration: see
    /// [`inherited`](super::handover::inherited).
    pub inherited: Vec<Listener>,
    /// The log; its level changes on SIGHUP, and dropping it writes out the rest.
    pub logging: Logging,
}

/// Limit on jobs that wait for a hashing thread: a second or two of work.
const HASH_JOBS_MAX: usize = 64;

/// Runs until a signal stops it.
#[must_use]
pub fn run(setup: Setup) -> ExitCode {
    let logging = Arc::new(setup.logging);
    let served = Started::new(
        setup.config,
        setup.config_file,
        setup.tls_files,
        setup.tls,
        setup.port_file.as_deref(),
        setup.inherited,
        &logging,
    )
    .and_then(Started::serve);
    let code = match served {
        Ok(()) => {
            log::info!("stopped");
            ExitCode::SUCCESS
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::FAILURE
        }
    };
    logging.flush();
    code
}

/// A server that listens.
struct Started {
    reactor: Reactor<Web<App>>,
    /// Ends with the server.
    _watcher: Arc<Watcher>,
}

impl Started {
    fn new(
        config: Config,
        config_file: ConfigFile,
        tls_files: TlsFiles,
        tls: TlsSettings,
        port_file: Option<&Path>,
        inherited: Vec<Listener>,
        logging: &Arc<Logging>,
    ) -> Result<Self, String> {
        signals::survive_file_size_limit()
            .map_err(|error| format!("cannot take signals: {error}"))?;
        // Each step up to the threads that can fail for what the configuration says is a function that
        // `check::rehearse` calls too.
        let hashers = hashers();
        let reactor_config = reactor_config(&config, hashers)?;
        let store = Store::open(&config.db_path, store::StoreOptions::default())
            .map_err(|error| preflight::db_error(&config, &error))?;
        let hasher = HasherPool::start(Cost::default(), hashers, HASH_JOBS_MAX)
            .map_err(|error| error.to_string())?;
        let accounts = Accounts::new(store, hasher, Pseudonyms::new(config.secret_key.bytes()));
        let options = assets::options(&config);
        let folder = Arc::new(assets::load(&config)?);

        let routes = routes::table().map_err(|error| format!("routes: {error}"))?;
        let mut kept = None;
        let site_config = config.clone();
        let first = Arc::clone(&folder);
        let mut reactor = web::reactor(reactor_config, |post: ServiceSender<Mail>| {
            kept = Some(post.clone());
            App::new(site_config, routes, accounts, first, post)
        })
        .map_err(|error| format!("cannot start the event loop: {error}"))?;
        let post = kept.ok_or("the reactor made no service")?;
        reactor.handler().service().set_logging(Arc::clone(logging));

        reactor.handler().service().serves(tls.served);
        let listening = listen(&mut reactor, &config, &tls.config, inherited)?;
        fd_limit::provide(config.max_connections);
        let news = post.clone();
        let watcher = Watcher::start(&config.public_dir, options, folder, move |folder| {
            // Once the reactor has ended there is nobody to show it to.
            news.to_service(Mail::Files(folder)).ok();
        })
        .map_err(|error| format!("cannot watch public_dir: {error}"))?;
        let watcher = Arc::new(watcher);
        let reloader = Reloader::new(
            config,
            config_file,
            tls_files,
            Arc::clone(logging),
            Arc::downgrade(&watcher),
        );
        watch(&post).map_err(|error| format!("cannot start the watchdog: {error}"))?;
        let Listening { port, sockets } = listening;
        signals::handle(post, reloader, sockets)
            .map_err(|error| format!("cannot take signals: {error}"))?;
        if let Some(path) = port_file {
            write_port(path, port)
                .map_err(|error| format!("--port-file: {}: {error}", path.display()))?;
        }
        systemd::ready();
        handover::notify_ready();
        Ok(Self {
            reactor,
            _watcher: watcher,
        })
    }

    fn serve(mut self) -> Result<(), String> {
        self.reactor
            .run()
            .map_err(|error| format!("the event loop failed: {error}"))?;
        self.reactor.into_handler().into_service().close();
        Ok(())
    }
}

/// Number of threads hash passwords.
pub(super) fn hashers() -> usize {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    HasherPool::threads_for(cores)
}

/// The reactor's limits, lowered to what this process may have.
///
/// # Errors
/// A sentence: it may have too little to serve anybody.
pub(super) fn reactor_config(config: &Config, hashers: usize) -> Result<ReactorConfig, String> {
    let mut reactor = ReactorConfig {
        output_bytes_max_total: config.max_output_memory,
        input_bytes_max_total: config.max_input_memory,
        ..ReactorConfig::default()
    };
    apply_to_reactor(config, &mut reactor);
    memory_limit::fit(
        &mut reactor,
        hashers,
        config.max_connections,
        config.max_file_memory,
    )?;
    Ok(reactor)
}

/// Sockets and port of the server.
struct Listening {
    /// The port of the secure listeners.
    port: u16,
    /// All of them, for the server that will take the place of this one.
    sockets: Vec<Listener>,
}

/// Opens the listeners, or takes those that were inherited.
fn listen(
    reactor: &mut Reactor<Web<App>>,
    config: &Config,
    tls: &Arc<rustls::ServerConfig>,
    inherited: Vec<Listener>,
) -> Result<Listening, String> {
    let (mut metrics, mut sockets) = (None, Vec::new());
    for Listener { socket, purpose } in inherited {
        let bound = socket
            .local_addr()
            .map_err(|error| format!("cannot listen: {error}"))?;
        match purpose.unwrap_or_else(|| purpose_at(config, bound)) {
            Purpose::Metrics if config.metrics_address == Some(bound) => metrics = Some(socket),
            Purpose::Http if config.http_port == bound.port() => {
                sockets.push((socket, Purpose::Http));
            }
            Purpose::Https => sockets.push((socket, Purpose::Https)),
            // It was for what is configured otherwise now, and is closed with the server before this one.
            Purpose::Metrics | Purpose::Http => log::info!("listening no more on {bound}"),
        }
    }
    let metrics = metrics.or_else(|| listen_for_metrics(config));
    if sockets.is_empty() {
        for socket in listen_all(config)? {
            let bound = socket.local_addr();
            let bound = bound.map_err(|error| format!("cannot listen: {error}"))?;
            sockets.push((socket, purpose_at(config, bound)));
        }
    } else {
        log::info!("listening on sockets that were passed on: port and bind_address do not count");
    }
    open(reactor, config, tls, sockets, metrics)
}

/// Purpose of a socket that was passed without one.
fn purpose_at(config: &Config, bound: SocketAddr) -> Purpose {
    if config.metrics_address == Some(bound) {
        Purpose::Metrics
    } else if config.http_port != 0 && bound.port() == config.http_port {
        Purpose::Http
    } else {
        Purpose::Https
    }
}

/// Lets clients come.
fn open(
    reactor: &mut Reactor<Web<App>>,
    config: &Config,
    tls: &Arc<rustls::ServerConfig>,
    sockets: Vec<(TcpListener, Purpose)>,
    metrics: Option<TcpListener>,
) -> Result<Listening, String> {
    let (mut secure, mut secure_at, mut port) = (Vec::new(), None, config.port);
    let mut kept = Vec::new();
    for (socket, purpose) in sockets {
        let is_plain = purpose == Purpose::Http;
        let bound = socket
            .local_addr()
            .map_err(|error| format!("cannot listen: {error}"))?;
        let security = if is_plain {
            Security::Plain
        } else {
            Security::Tls(Arc::clone(tls))
        };
        let (id, _) = SockRef::from(&socket)
            .set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
            .and_then(|()| reactor.listen_on(socket.try_clone()?, security))
            .map_err(|error| format!("cannot listen on {bound}: {error}"))?;
        if is_plain {
            log::info!("redirecting http://{bound} to https");
        } else {
            port = bound.port();
            secure_at.get_or_insert(bound);
            secure.push(id);
            log::info!("listening on https://{bound}");
        }
        let purpose = Some(purpose);
        kept.push(Listener { socket, purpose });
    }
    if let Some(url) = secure_at.map(|bound| page_url(bound, config.public_port)) {
        log::info!("open {url} in a browser");
    }
    let mut for_metrics = None;
    if let Some(socket) = metrics {
        let (id, bound) = socket
            .try_clone()
            .and_then(|socket| reactor.listen_on(socket, Security::Plain))
            .map_err(|error| format!("cannot listen for metrics: {error}"))?;
        log::info!("metrics are at http://{bound}/metrics");
        for_metrics = Some(id);
        // With port 0 the next server could not tell it from the others.
        if Some(bound) == config.metrics_address {
            let purpose = Some(Purpose::Metrics);
            kept.push(Listener { socket, purpose });
        }
    }
    let site = reactor.handler().service();
    site.set_listeners(secure, port, for_metrics);
    Ok(Listening {
        port,
        sockets: kept,
    })
}

/// Metrics are not worth the server: without their port it starts, too.
fn listen_for_metrics(config: &Config) -> Option<TcpListener> {
    let bound = sockets::bind_metrics(config)?;
    match bound.and_then(|bound| bound.listen(config.backlog)) {
        Ok(socket) => Some(socket),
        Err(error) => {
            log::warn!("no metrics: {error}");
            None
        }
    }
}

fn listen_all(config: &Config) -> Result<Vec<TcpListener>, String> {
    let bound = sockets::bind_all(config).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(ListenError::to_string).collect();
        lines.join("; ")
    })?;
    let listeners = bound.into_iter().map(|bound| bound.listen(config.backlog));
    listeners
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

/// The address to open on this machine: a certificate made by `edgeloop cert` is for the name localhost.
fn page_url(bound: SocketAddr, public_port: u16) -> String {
    let port = if public_port == 0 {
        bound.port()
    } else {
        public_port
    };
    match bound.ip() {
        ip if ip.is_unspecified() || ip == Ipv4Addr::LOCALHOST || ip == Ipv6Addr::LOCALHOST => {
            format!("https://localhost:{port}/")
        }
        ip => format!("https://{}/", SocketAddr::new(ip, port)),
    }
}

/// Lets the service manager know that the loop goes round, if it wants to.
fn watch(post: &ServiceSender<Mail>) -> io::Result<()> {
    let (tell, told) = mpsc::channel();
    let post = post.clone();
    let ask = move || post.to_service_urgently(Mail::Alive(tell.clone())).is_ok();
    systemd::watch(ask, told)
}

/// Bytes that the kernel takes beyond a peer's window: the most of a write. Without a
/// bound it takes megabytes, and a peer that never reads is not seen to be slow. Accepted sockets inherit
/// it (tcp(7), `TCP_NOTSENT_LOWAT`).
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Written whole or not at all, so that a reader never sees half a number.
fn write_port(path: &Path, port: u16) -> io::Result<()> {
    let mut half = path.as_os_str().to_owned();
    half.push(".new");
    fs::write(&half, format!("{port}\n"))?;
    fs::rename(&half, path)
}
