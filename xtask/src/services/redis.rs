//! A real Redis: plain and TLS, the default user and one with an ACL.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::launch::{Launched, fill_in};
use super::ports::Ports;
use super::state::{Acl, Redis};
use crate::mark::Mark;
use crate::repo::Repo;
use crate::setup::Tools;

/// Started, and maybe not up yet.
pub(crate) struct Starting {
    launched: Launched,
    port: u16,
    state: Redis,
}

pub(crate) fn start(repo: &Repo, tools: &Tools, dir: &Path, mark: &Mark, ports: &mut Ports) -> Result<Starting> {
    let data = dir.join("redis");
    fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    let (plain_port, tls_port) = (ports.next()?, ports.next()?);
    let acl = Acl { username: "drivetap".to_owned(), password: "drivetap-secret".to_owned(), channels: "drive-*".to_owned() };

    let template = fs::read_to_string(repo.service_sources().join("redis/redis.conf")).context("redis.conf")?;
    let config = dir.join("redis.conf");
    let filled = fill_in(
        &template,
        &[
            ("plain_port", &plain_port),
            ("tls_port", &tls_port),
            ("tls", &dir.join("tls").display()),
            ("data", &data.display()),
            ("username", &acl.username),
            ("password", &acl.password),
            ("channels", &acl.channels),
        ],
    )?;
    fs::write(&config, filled).with_context(|| format!("cannot write {}", config.display()))?;

    let log = dir.join("redis.log");
    let launched = Launched::start("Redis", Command::new(&tools.redis_server).arg(&config), mark, &log)?;
    let state =
        Redis { pid: launched.pid(), plain: format!("127.0.0.1:{plain_port}"), tls: format!("localhost:{tls_port}"), acl, log };
    Ok(Starting { launched, port: plain_port, state })
}

impl Starting {
    pub(crate) fn wait_until_up(mut self) -> Result<Redis> {
        let port = self.port;
        self.launched.wait_until(|| answers(port).is_ok_and(|answer| answer == *b"+PONG\r\n"))?;
        Ok(self.state)
    }
}

fn answers(port: u16) -> std::io::Result<[u8; 7]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}
