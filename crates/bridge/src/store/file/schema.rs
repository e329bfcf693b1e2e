use redb::{Database, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::rows::{self, Rows};

/// `version` → which layout of rows the file has.
const META: TableDefinition<&str, u64> = TableDefinition::new("drivetap");
const VERSION: &str = "version";

/// Takes the rows of one version to the next.
pub(super) type Upgrade = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// The layout of rows that this build writes: the first version is 1, and each upgrade makes one more.
///
/// A field that is new in a record, has a default and may be forgotten needs no upgrade. One that changes or goes, or that an older drivetap
/// must not drop, does: it refuses the file instead of reading half of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schema {
    pub(super) upgrades: &'static [Upgrade],
}

#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("it is another program's: it has no version of drivetap's")]
    Foreign,
    #[error("it has version {found}, and this drivetap knows up to {known}")]
    Newer { found: u64, known: u64 },
    #[error("{0}")]
    Row(String),
    #[error("{0}")]
    Database(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for SchemaError {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl Schema {
    /// To upgrade from version `n`, the upgrade at `n - 1` runs, and those after it.
    pub(super) const CURRENT: Self = Self { upgrades: &[to_version_2] };

    /// Lays out a new database.
    pub(super) fn create(self, database: &Database) -> Result<(), SchemaError> {
        let transaction = database.begin_write()?;
        Rows::open(&transaction)?;
        self.stamp(&transaction)?;
        Ok(transaction.commit()?)
    }

    /// Upgrades an older database, in one transaction; writes nothing where it has this version already.
    pub(super) fn bring_up(self, database: &Database) -> Result<(), SchemaError> {
        let found = found(database)?;
        let known = self.version();
        if found > known {
            return Err(SchemaError::Newer { found, known });
        }
        let done = usize::try_from(found - 1).unwrap_or(usize::MAX);
        let pending = self.upgrades.get(done..).unwrap_or_default();
        if !pending.is_empty() {
            let transaction = database.begin_write()?;
            for upgrade in pending {
                upgrade(&transaction)?;
            }
            self.stamp(&transaction)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// Reads every row once, so that one that cannot be read is told at the start and not when its feed opens.
    pub(super) fn check_rows(self, database: &Database) -> Result<(), SchemaError> {
        rows::check(&database.begin_read()?)?.map_err(SchemaError::Row)
    }

    fn stamp(self, transaction: &WriteTransaction) -> Result<(), SchemaError> {
        transaction.open_table(META)?.insert(VERSION, self.version())?;
        Ok(())
    }

    fn version(self) -> u64 {
        u64::try_from(self.upgrades.len()).unwrap_or(u64::MAX).saturating_add(1)
    }
}

/// A record has `losses`, which a live sink still has to be told, and `may_begin`. No row of version 1 has either.
fn to_version_2(_: &WriteTransaction) -> Result<(), redb::Error> {
    Ok(())
}

fn found(database: &Database) -> Result<u64, SchemaError> {
    let meta = match database.begin_read()?.open_table(META) {
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Err(SchemaError::Foreign),
        Ok(meta) => meta,
    };
    let version = meta.get(VERSION)?.map(|version| version.value());
    version.filter(|version| *version > 0).ok_or(SchemaError::Foreign)
}
