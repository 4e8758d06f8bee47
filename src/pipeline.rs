//! One run over one dataset: every stage in its order. The only module that knows them all.

use std::sync::Arc;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use chrono::Utc;
use tokio::time::Instant;
use tracing::{Instrument, info, info_span, warn};

use crate::config::Dataset;
use crate::environment::CopyAccess;
use crate::error::{Deployment, Error, Fault, Retryable};
use crate::ledger::Verdict;
use crate::listings;
use crate::load::{Consulted, Load, Loaded, StagedTable};
use crate::members::StagedMember;
use crate::notify::Notifier;
use crate::problem::Problems;
use crate::progress::Progress;
use crate::queue::{Object, Standing, Until, plan};
use crate::redshift::Redshift;
use crate::report::{
    BadArchive, FORMAT_VERSION, Failure, GoodArchive, GoodOutcome, LoadedTable, Phases, Report,
};
use crate::retry;
use crate::secret::Secret;
use crate::settle;
use crate::sql::Authorization;
use crate::stage::{Manifest, Stager};
use crate::stop::{ARCHIVE_RESERVE, Stop};
use crate::store::Store;
use crate::stream::stream;

/// The loader with its connections to the outside.
pub struct Loader {
    /// S3.
    pub store: Store,
    /// Redshift.
    pub redshift: Redshift,
    /// How COPY reads S3.
    pub copy: CopyAccess,
    /// The function's own credentials, for COPY without a role.
    pub credentials: Option<SharedCredentialsProvider>,
    /// The bucket's region.
    pub region: Option<String>,
    /// Who is told of bad archives, if anybody is.
    pub notifier: Option<Notifier>,
}

/// What an invocation gives to every run.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Its id, kept in the ledger.
    pub request_id: String,
    /// Until when it may go on.
    pub stop: Stop,
    /// How many archives it works on at the most.
    pub limit: Option<usize>,
    /// Where it tells how far it has come.
    pub progress: Progress,
}

/// What a run came to.
pub struct Run {
    /// What it did.
    pub report: Report,
    /// Why it ended before its goal, if it did.
    pub failure: Option<Error>,
}

impl Loader {
    /// Works through the queue of `dataset`, oldest first, and stops at the first archive that is bad or
    /// cannot be loaded.
    pub async fn run(&self, dataset: &Arc<Dataset>, until: &Until, invocation: &Invocation) -> Run {
        let span = info_span!("run", request_id = invocation.request_id, dataset = dataset.name);
        let mut report = Report {
            version: FORMAT_VERSION,
            dataset: dataset.name.clone(),
            bucket: dataset.bucket.clone(),
            request_id: invocation.request_id.clone(),
            ..Report::default()
        };
        // Boxed: the stages below nest deeper than the compiler cares to lay out in one piece.
        let mut unsettled = None;
        let failure = Box::pin(self.work(dataset, until, invocation, &mut report, &mut unsettled))
            .instrument(span)
            .await
            .err();
        if let Some(unsettled) = unsettled {
            report.left_of(&unsettled, Utc::now());
        }
        report.failure =
            failure.as_ref().map(|error| Failure { error_type: error.error_type(), message: error.chain() });
        Run { report, failure }
    }

    async fn work(
        &self,
        dataset: &Arc<Dataset>,
        until: &Until,
        invocation: &Invocation,
        report: &mut Report,
        unsettled: &mut Option<Vec<Object>>,
    ) -> Result<(), Error> {
        let read = listings::read(&self.store, dataset, until);
        let (listings, revisions) = Phase::Queue.of(&mut report.seconds, read).await?;
        let plan = plan(dataset, &listings, &revisions);
        report.objects_found = plan.archives.len();
        report.superseded = plan.standing(Standing::Superseded).map(|archive| archive.key.clone()).collect();
        *unsettled = Some(plan.standing(Standing::Queued).cloned().collect());
        let queue = plan
            .queue(until)
            .map_err(|reason| Error::deployment(Deployment::NotAgain, reason.to_string()))?;
        info!(
            found = report.objects_found,
            unsettled = queue.len(),
            superseded = report.superseded.len(),
            "queue read"
        );

        let again = matches!(until, Until::Again(_));
        let mut queue = queue.into_iter();
        let mut begun = 0;
        while let Some(archive) = queue.next() {
            if invocation.limit.is_some_and(|limit| begun >= limit) {
                report.not_processed.push(archive.key);
                report.not_processed.extend(queue.map(|archive| archive.key));
                return Ok(());
            }
            begun += 1;
            let span = info_span!("archive", archive = archive.key);
            let result =
                self.archive(dataset, &archive, again, invocation, report).instrument(span.clone()).await;
            let settled = match result {
                Ok(()) => continue,
                Err(Error::BadInput(problems)) => {
                    self.refuse(dataset, &archive, &problems, invocation, report).instrument(span).await
                }
                Err(error) => Err(error),
            };
            if settled.is_err() {
                report.not_processed.push(archive.key.clone());
            }
            report.not_processed.extend(queue.map(|archive| archive.key));
            settled?;
            return match report.not_processed.as_slice() {
                [] => Ok(()),
                [next, ..] => {
                    let message = format!(
                        "{} is bad and was settled so; stopped before {next}, which the next run takes up",
                        archive.key
                    );
                    Err(Error::retryable(Retryable::StoppedAtBadArchive, message))
                }
            };
        }
        Ok(())
    }

    /// One archive, from the question whether it is loaded already to its good marker.
    async fn archive(
        &self,
        dataset: &Arc<Dataset>,
        archive: &Object,
        again: bool,
        invocation: &Invocation,
        report: &mut Report,
    ) -> Result<(), Error> {
        invocation.stop.check(ARCHIVE_RESERVE, || format!("{} was not begun", archive.key))?;
        info!(etag = archive.etag, size = archive.size, "archive begun");
        report.objects_processed += 1;
        let result = Box::pin(self.load(dataset, archive, again, invocation, report)).await;
        if result.is_err() {
            report.objects_failed += 1;
        }
        let rows = match result? {
            Loading::Superseded => {
                info!("a newer archive is loaded already; superseded");
                report.superseded.push(archive.key.clone());
                return Ok(());
            }
            Loading::Before => None,
            Loading::Now(rows) => Some(rows),
        };
        Phase::Settle.of(&mut report.seconds, settle::good(&self.store, dataset, archive)).await?;
        report.objects_good += 1;
        report.good.push(GoodArchive {
            key: archive.key.clone(),
            etag: archive.revision().to_owned(),
            outcome: if rows.is_some() { GoodOutcome::Loaded } else { GoodOutcome::AlreadyLoaded },
            rows: rows.unwrap_or_default(),
        });
        Ok(())
    }

    async fn load(
        &self,
        dataset: &Arc<Dataset>,
        archive: &Object,
        again: bool,
        invocation: &Invocation,
        report: &mut Report,
    ) -> Result<Loading, Error> {
        let load =
            Load { dataset, archive, request_id: &invocation.request_id, stop: &invocation.stop, again };
        let consult = retry::until_done(&invocation.stop, async || load.consult(&self.redshift).await);
        let Consulted { verdict, tables } = Phase::Load.of(&mut report.seconds, consult).await?;
        match verdict {
            Verdict::AlreadyLoaded => return Ok(Loading::Before),
            Verdict::Superseded => return Ok(Loading::Superseded),
            Verdict::Load { .. } => {}
        }

        let limited = Arc::new(Dataset { tables, ..Dataset::clone(dataset) });
        let staged =
            Phase::Stage.of(&mut report.seconds, self.stage(dataset, &limited, archive, invocation)).await?;

        let authorization = self.authorization().await?;
        let region = self.region.as_deref();
        // The staged files are used again. A COMMIT whose answer was lost is no riddle: the ledger is read
        // first.
        let run = retry::until_done(&invocation.stop, async || {
            load.run(&self.redshift, &authorization, region, &staged).await
        });
        match Phase::Load.of(&mut report.seconds, run).await {
            Err(error) => {
                if let Error::BadInput(problems) = &error {
                    let refused = staged.iter().filter(|table| {
                        problems.told().iter().any(|problem| problem.member.as_ref() == Some(&table.member))
                    });
                    report.failed_tables.extend(refused.map(|table| table.table.name.to_string()));
                }
                Err(error)
            }
            Ok(Loaded::Before) => Ok(Loading::Before),
            Ok(Loaded::Superseded) => Ok(Loading::Superseded),
            Ok(Loaded::Now) => {
                let rows = staged.iter().map(|table| table.rows).sum();
                info!(rows, "loaded");
                report.rows += rows;
                report.bytes += archive.size;
                report.tables_loaded += staged.len();
                report.loaded_tables.extend(staged.iter().map(|table| LoadedTable {
                    table: table.table.name.to_string(),
                    key: archive.key.clone(),
                    rows: table.rows,
                }));
                Ok(Loading::Now(rows))
            }
        }
    }

    /// Streams an archive from S3 through unpack and transform back to S3, and names the results in
    /// manifests. `limited` is the dataset with what its tables take.
    async fn stage<'d>(
        &self,
        dataset: &'d Dataset,
        limited: &Arc<Dataset>,
        archive: &Object,
        invocation: &Invocation,
    ) -> Result<Vec<StagedTable<'d>>, Error> {
        let files = Stager::new(self.store.clone(), &dataset.bucket);
        let members =
            stream(&self.store, limited, archive, &invocation.stop, &invocation.progress, files).await?;
        let staged = self.write_manifests(dataset, archive, members).await?;
        info!(rows = staged.iter().map(|table| table.rows).sum::<u64>(), "staged");
        Ok(staged)
    }

    async fn write_manifests<'d>(
        &self,
        dataset: &'d Dataset,
        archive: &Object,
        members: Vec<StagedMember>,
    ) -> Result<Vec<StagedTable<'d>>, Error> {
        let bucket = &dataset.bucket;
        let mut staged = Vec::new();
        for table in &dataset.tables {
            let Some(staged_member) = members.iter().find(|staged| staged.member == table.member) else {
                return Err(Error::retryable(
                    Retryable::Unknown,
                    format!("no staged file was made of {}", table.member),
                ));
            };
            let stem = dataset.staged_stem(&archive.key, &archive.etag, &table.member);
            let (file, manifest) = (format!("{stem}.csv"), format!("{stem}.manifest"));
            self.store
                .put(bucket, &manifest, Manifest::of(bucket, &[&file]).to_json(), "application/json")
                .await?;
            staged.push(StagedTable {
                table,
                member: staged_member.name.clone(),
                file: format!("s3://{bucket}/{file}"),
                manifest: format!("s3://{bucket}/{manifest}"),
                rows: staged_member.rows,
                lines: staged_member.lines.clone(),
            });
        }
        Ok(staged)
    }

    /// What COPY reads S3 with.
    ///
    /// # Errors
    ///
    /// [`Deployment::CopyAuthorization`] when there are no credentials to give to it.
    pub async fn authorization(&self) -> Result<Authorization, Error> {
        match &self.copy {
            CopyAccess::DefaultRole => Ok(Authorization::DefaultRole),
            CopyAccess::Role(arn) => Ok(Authorization::Role(arn.clone())),
            CopyAccess::OwnKeys => {
                let missing = || {
                    Fault::new(
                        Deployment::CopyAuthorization,
                        "no AWS credentials to give to COPY; set COPY_IAM_ROLE to use a role of the cluster",
                    )
                };
                let provider = self.credentials.as_ref().ok_or_else(missing)?;
                let keys =
                    provider.provide_credentials().await.map_err(|error| missing().caused_by(error))?;
                Ok(Authorization::Keys {
                    access_key_id: Secret::new(keys.access_key_id()),
                    secret_access_key: Secret::new(keys.secret_access_key()),
                    session_token: keys.session_token().map(Secret::new),
                })
            }
        }
    }

    async fn refuse(
        &self,
        dataset: &Dataset,
        archive: &Object,
        problems: &Problems,
        invocation: &Invocation,
        report: &mut Report,
    ) -> Result<(), Error> {
        let bad = BadArchive::new(&archive.key, archive.revision(), problems);
        let settle = async {
            for problem in problems.told() {
                warn!("bad input: {problem}");
            }
            settle::explain(&self.store, dataset, archive, problems, &invocation.request_id).await?;
            // Before the marker: an invocation that ends in between leaves an archive that is found bad, and
            // told of, once more.
            if let Some(notifier) = &self.notifier {
                notifier.bad_archive(dataset, &bad).await;
            }
            settle::bad(&self.store, dataset, archive).await
        };
        Phase::Settle.of(&mut report.seconds, settle).await?;
        report.objects_bad += 1;
        report.bad.push(bad);
        Ok(())
    }
}

/// A part of the work that is timed, and named in the log.
#[derive(Clone, Copy)]
enum Phase {
    Queue,
    Stage,
    Load,
    Settle,
}

impl Phase {
    async fn of<T>(self, seconds: &mut Phases, work: impl Future<Output = T>) -> T {
        let (phase, spent) = match self {
            Self::Queue => ("queue", &mut seconds.queue),
            Self::Stage => ("stage", &mut seconds.stage),
            Self::Load => ("load", &mut seconds.load),
            Self::Settle => ("settle", &mut seconds.settle),
        };
        let begun = Instant::now();
        let done = work.instrument(info_span!("phase", phase)).await;
        Phases::add(spent, begun.elapsed());
        done
    }
}

/// What became of an archive in Redshift.
enum Loading {
    Now(u64),
    Before,
    Superseded,
}
