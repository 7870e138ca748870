//! The seller's side of the demo: a folder with a configuration, and the real program run on it.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};
use url::Url;

use crate::{
    domain::{ChannelKind, Sku, Units},
    sandbox::{BundleListing, ShopSettings},
};

/// How long the daemon may take to end.
const GRACE: Duration = Duration::from_secs(30);
/// Where it logs.
const LOG: &str = "daemon.log";
/// How much of that is shown where it went wrong.
const LOG_LINES: usize = 10;

/// A folder with all that the daemon needs.
pub(super) struct Home {
    folder: Folder,
    program: PathBuf,
}

enum Folder {
    /// Goes when the demo ends well.
    Fresh(TempDir),
    /// Stays.
    Kept(PathBuf),
}

impl Home {
    /// Makes the folder: a fresh one, or `keep`, which may hold no demo yet.
    pub(super) fn new(keep: Option<&Path>) -> Result<Self> {
        let folder = match keep {
            None => Folder::Fresh(tempfile::Builder::new().prefix("stockd-demo-").tempdir()?),
            Some(path) => {
                fs::create_dir_all(path).with_context(|| format!("can't make {}", path.display()))?;
                let taken = path.join("stockd.toml").exists() || path.join("ledger.db").exists();
                ensure!(!taken, "{} holds the ledger of an earlier run; name another folder", path.display());
                Folder::Kept(path.to_owned())
            }
        };
        Ok(Self { folder, program: std::env::current_exe().context("can't find this program's own file")? })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        match &self.folder {
            Folder::Fresh(folder) => folder.path(),
            Folder::Kept(path) => path,
        }
    }

    /// The ledger's file.
    pub(super) fn ledger(&self) -> PathBuf {
        self.path().join("ledger.db")
    }

    /// Leaves the folder where it is, for whoever wants to know what went wrong.
    pub(super) fn keep(self) -> PathBuf {
        match self.folder {
            Folder::Fresh(folder) => folder.keep(),
            Folder::Kept(path) => path,
        }
    }

    /// Writes the configuration for these shops, each at its address, and their secrets beside it.
    pub(super) fn configure<'a>(
        &self,
        shops: impl Iterator<Item = (&'a ShopSettings, Url)>,
        bundles: &[BundleListing],
    ) -> Result<()> {
        let mut text = String::from("[ledger]\npath = \"ledger.db\"\n\n[log]\nformat = \"json\"\n");
        for (shop, address) in shops {
            let id = shop.id.as_str();
            let secrets = match shop.kind {
                ChannelKind::Shopify => vec![("token", &shop.key)],
                ChannelKind::Woocommerce => vec![("key", &shop.key), ("secret", &shop.secret)],
            };
            write!(
                text,
                "\n[channels.{id}]\nkind = \"{}\"\nmode = \"push\"\nurl = \"{address}\"\n\
                 orders = {{ every = \"1s\", overlap = \"5s\" }}\nsettle = \"1s\"\norder_delay = \"{}s\"\n",
                shop.kind.name(),
                // Twice what the sandbox needs at most.
                if shop.order_delay_ms == 0 { 1 } else { 3 }
            )?;
            if let Some(cap) = shop.policy.cap {
                writeln!(text, "policy = {{ cap = {cap} }}")?;
            }
            if let Some((per_second, burst)) = shop.calls {
                writeln!(text, "calls_per_second = {per_second}\nburst = {burst}")?;
            }
            for (name, secret) in secrets {
                let file = format!("{id}.{name}");
                self.write_secret(&file, secret)?;
                writeln!(text, "{name} = {{ file = \"{file}\" }}")?;
            }
        }
        for BundleListing { sku, components } in bundles {
            let parts: Vec<_> = components
                .iter()
                .map(|(sku, units)| format!("{{ sku = \"{sku}\", units = {units} }}"))
                .collect();
            write!(text, "\n[[bundle]]\nsku = \"{sku}\"\ncomponents = [{}]\n", parts.join(", "))?;
        }
        fs::write(self.config(), text)?;
        Ok(())
    }

    /// Counts the shelf: the real import, of a file as a seller would write it.
    pub(super) async fn import(&self, stock: &[(Sku, Units)]) -> Result<()> {
        let file = self.path().join("opening.csv");
        let mut csv = csv::Writer::from_path(&file)?;
        csv.write_record(["sku", "quantity", "basis"])?;
        for (sku, units) in stock {
            csv.write_record([sku.as_str(), &units.to_string(), "on_hand"])?;
        }
        csv.flush()?;
        self.run(["stock".as_ref(), "import".as_ref(), file.as_os_str()]).await.map(drop)
    }

    /// Runs one command of the program to its end and hands back what it printed.
    ///
    /// # Errors
    /// Where it fails, with what it said.
    pub(super) async fn run<'a>(&self, args: impl IntoIterator<Item = &'a OsStr>) -> Result<String> {
        let args: Vec<_> = args.into_iter().collect();
        let output = self.command(&args).stderr(Stdio::piped()).output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        let args = args.join(OsStr::new(" "));
        ensure!(output.status.success(), "stockd {}: {}: {said}", args.display(), output.status);
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts the daemon; what it logs goes to `daemon.log`.
    pub(super) fn start(&self) -> Result<Daemon> {
        let log = File::create(self.path().join(LOG))?;
        let child = self
            .command(&["run".as_ref()])
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("can't start the daemon")?;
        Ok(Daemon { child })
    }

    /// The last lines that the daemon logged.
    pub(super) fn log_end(&self) -> String {
        let log = fs::read_to_string(self.path().join(LOG)).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }

    fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).arg("--config").arg(self.config()).stdin(Stdio::null());
        command
    }

    fn config(&self) -> PathBuf {
        self.path().join("stockd.toml")
    }

    fn write_secret(&self, name: &str, secret: &str) -> Result<()> {
        let path = self.path().join(name);
        fs::write(&path, secret)?;
        // A secret that others may read is refused.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}

/// The daemon, a process of its own.
pub(super) struct Daemon {
    child: Child,
}

impl Daemon {
    /// How it ended, if it has.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Asks it to end, as systemd would, and waits for it.
    ///
    /// # Errors
    /// Where it ended before, badly, or not in time.
    pub(super) async fn stop(mut self) -> Result<()> {
        let id = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        let pid = id.context("the daemon had ended by itself")?;
        kill_process(pid, Signal::TERM)?;
        let ended = timeout(GRACE, self.child.wait()).await;
        let status = ended.context("the daemon did not end within 30 s of SIGTERM")??;
        ensure!(status.success(), "the daemon ended with {status}");
        Ok(())
    }
}

#[cfg(test)]
impl Home {
    /// A home with the configuration for these shops, as the daemon would load it.
    pub(super) fn furnished(sandbox: &crate::sandbox::SandboxConfig) -> (Self, crate::config::Loaded) {
        let home = Self::new(None).unwrap();
        let address = |shop: &ShopSettings| Url::parse(&format!("http://127.0.0.1:1/{}/", shop.id)).unwrap();
        let shops = sandbox.shops.iter().map(|shop| (shop, address(shop)));
        home.configure(shops, &sandbox.catalogue.bundles).unwrap();
        let loaded = crate::config::load(&home.config()).unwrap();
        (home, loaded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::demo::street,
        domain::{ChannelId, Mode},
    };

    #[test]
    fn the_configuration_that_is_written_loads_and_says_what_the_shops_are() {
        let sandbox = street::made_up(1);
        let (home, loaded) = Home::furnished(&sandbox);
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.settings.ledger, home.ledger());
        for (shop, channel) in sandbox.shops.iter().zip(&loaded.settings.channels) {
            assert_eq!((&channel.id, channel.capabilities.kind), (&shop.id, shop.kind));
            assert_eq!(channel.mode, Mode::Push);
            let policy = loaded.settings.policies.resolve(&ChannelId::new(shop.id.as_str()), "SKU-0001");
            assert_eq!(policy, shop.policy, "the referee and the daemon must mean the same");
        }
        assert_eq!(loaded.settings.bundles.len(), sandbox.catalogue.bundles.len());
    }

    #[test]
    fn a_folder_with_a_ledger_is_not_taken_for_another_demo() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Home::new(Some(folder.path())).is_ok());
        fs::write(folder.path().join("ledger.db"), "").unwrap();
        assert!(Home::new(Some(folder.path())).is_err());
    }
}
