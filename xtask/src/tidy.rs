use crate::repo::Repo;
pub(crate) fn run(_repo: &Repo) -> anyhow::Result<()> {
    Ok(())
}
