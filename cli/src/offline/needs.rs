//! What renders ask for beside their sources → files of this machine.

use std::fmt::Write as _;

use bus::message::condition::ConditionType;
use bus::message::need::Need;

use super::Complaint;
use super::repositories::{Located, Repositories};

/// The files of all needs; or all of those that aren't here, in words.
pub(super) fn find(
    needs: &[Need],
    repositories: &Repositories<'_>,
) -> Result<Vec<(Need, Located)>, Complaint> {
    let mut found = Vec::with_capacity(needs.len());
    let mut lacking = String::new();
    for need in needs {
        let located = match need {
            Need::Git { url, reference } => repositories.at(url, reference),
            Need::Chart { .. } => Err(anyhow::anyhow!(
                "put it into the chart's charts/ folder with 'helm dependency build'"
            )),
            Need::File { .. } => Err(anyhow::anyhow!("keep a copy of it in the repository")),
        };
        match located {
            Ok(located) => found.push((need.clone(), located)),
            Err(error) => {
                // Writing to a String doesn't fail.
                let _ = write!(lacking, "\n  {}: {error:#}", renderer::describe(need));
            }
        }
    }
    if lacking.is_empty() {
        return Ok(found);
    }
    Err(Complaint {
        kind: ConditionType::ComparisonError,
        message: format!(
            "nothing is fetched here, and this is needed beside the sources:{lacking}"
        ),
    })
}
