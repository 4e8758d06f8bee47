//! Tests how Redshift's errors are classified: temporary ones are left to the next run; lasting ones are for
//! the operator and are not retried; neither settles an archive. The table in `src/redshift/known_errors.rs`
//! has their sources.

use devstack::lambda::Outcome;
use devstack::redshift::{Action, Fault};

use crate::faults::{fails, recovers};
use crate::harness::{Harness, cases, sample};

/// Refuses each statement that contains a text. Returns how often it was sent.
async fn refused(statement: &str, code: &str, text: &str, error_type: &str, words: &[&str]) -> usize {
    let harness = Harness::start().await;
    harness.stack.redshift.inject(Fault::on(statement, Action::Refuse(code.to_owned(), text.to_owned())));
    // The message has the whole text of Redshift.
    let words: Vec<&str> = words.iter().copied().chain([text, code]).collect();
    fails(&harness, error_type, &words).await;
    let sent = harness.sessions().concat().into_iter().filter(|sql| sql.contains(statement)).count();
    harness.stack.redshift.clear_faults();
    recovers(&harness).await;
    sent
}

async fn lasts(statement: &str, code: &str, text: &str, error_type: &str, remedy: &str) {
    assert_eq!(refused(statement, code, text, error_type, &[remedy]).await, 1, "{text} was tried again");
}

async fn passes(statement: &str, code: &str, text: &str, error_type: &str) {
    refused(statement, code, text, error_type, &[]).await;
}

/// The form is from `s3serviceexception-error.md`.
macro_rules! s3 {
    ($status:literal, $code:literal) => {
        concat!("S3ServiceException:no,Status ", $status, ",Error ", $code, ",Rid 1,ExtRid 2,CanRetry 1")
    };
}

const REGION: &str = "S3ServiceException:The bucket you are attempting to access must be addressed using the \
                      specified endpoint. Please send all future requests to this endpoint.,Status 301,Error PermanentRedirect,Rid 1";
const MANIFEST: &str = "COPY with MANIFEST parameter requires full path of an S3 object.";
const ASSUME: &str =
    "User arn:aws:redshift:r:1:dbuser:c/u is not authorized to assume IAM Role arn:aws:iam::1:role/r";
const NOT_NULL: &str = "NOT NULL column without DEFAULT must be included in column list";

cases! {
    async what_lasts_is_for_the_operator_and_tried_once: lasts {
        no_relation("COPY", "XX000", "Cannot COPY into nonexistent table t", "Deployment.SchemaMismatch", "ddl/tables.sql");
        relation_missing("DELETE", "42P01", "relation \"t\" does not exist", "Deployment.SchemaMismatch", "ddl/tables.sql");
        column_missing("COPY", "42703", "column \"c\" of relation \"t\" does not exist", "Deployment.SchemaMismatch", "add the column");
        column_without_default("COPY", "42601", NOT_NULL, "Deployment.SchemaMismatch", "give it a default");
        view("COPY", "42809", "\"t\" is a view", "Deployment.SchemaMismatch", "plain table");
        external_table("DELETE", "0A000", "not supported for external table \"t\"", "Deployment.SchemaMismatch", "plain table");
        disk_full("COPY", "XX000", "Disk Full", "Deployment.StorageFull", "free disk space");
        disk_full_in_a_code_of_its_own("COPY", "53100", "could not extend file", "Deployment.StorageFull", "free disk space");
        no_grant_on_the_ledger("INSERT", "42501", "permission denied for relation load_ledger", "Deployment.Privilege", "ddl/grants.sql");
        role_not_attached("COPY", "XX000", ASSUME, "Deployment.CopyAuthorization", "attach the role");
        manifest_unreadable("COPY", "XX000", MANIFEST, "Deployment.CopyAuthorization", "kms:Decrypt");
        s3_denies_the_role("COPY", "XX000", s3!(403, "AccessDenied"), "Deployment.CopyAuthorization", "s3:GetObject");
        key_disabled("COPY", "XX000", s3!(400, "KMS.DisabledException"), "Deployment.CopyAuthorization", "KMS key");
        token_expired("COPY", "XX000", s3!(400, "ExpiredToken"), "Deployment.CopyAuthorization", "COPY_IAM_ROLE");
        wrong_region("COPY", "XX000", REGION, "Deployment.Configuration", "AWS_REGION");
        bucket_missing("COPY", "XX000", s3!(404, "NoSuchBucket"), "Deployment.NoSuchBucket", "\"bucket\"");
        locked_in_the_session("BEGIN", "28000", "user is locked", "Deployment.LoginRefused", "ALTER USER");
    }
}

cases! {
    async what_passes_is_left_for_the_next_run: passes {
        relation_unseen_by_the_snapshot("COPY", "XX000", "1018", "Retryable.Serialization");
        conflict_in_words("COPY", "XX000", "Serializable isolation violation on table - 1", "Retryable.Serialization");
        deadlock("LOCK ", "40P01", "deadlock detected", "Retryable.Serialization");
        cancelled_in_other_words("COPY", "XX000", "Query (1) cancelled on user's request", "Retryable.StatementTimeout");
        ended_by_workload_management("COPY", "XX000", "abort query: context: system requested abort", "Retryable.StatementTimeout");
        cluster_is_resized("DELETE", "25006", "transaction is read-only", "Retryable.ClusterUnavailable");
        cluster_restarts("COPY", "57P01", "terminating connection due to administrator command", "Retryable.ConnectionLost");
        s3_fails("COPY", "XX000", s3!(500, "InternalError"), "Retryable.S3Unavailable");
        s3_throttles("COPY", "XX000", s3!(503, "SlowDown"), "Retryable.S3Unavailable");
        s3_throttles_in_words_of_another_error("COPY", "XX000", s3!(503, "AccessDenied"), "Retryable.S3Unavailable");
        never_seen("COPY", "XX000", "something never seen", "Retryable.Unknown");
        never_seen_by_code("COPY", "42601", "syntax error at or near \"FROM\"", "Retryable.Unknown");
    }
}

/// Runs a load after the superuser has executed `change`. It fails before anything is staged, and names the
/// table, the reason and the remedy.
async fn is_refused_before_staging(change: &str, words: &[&str]) {
    let harness = Harness::start().await;
    harness.admin(change).await;
    let Outcome::Failed { error_type, message } = harness.invoke(&harness.put("a", &sample(3, 50), 1)).await
    else {
        panic!("it loaded")
    };
    assert_eq!(error_type, "Deployment.SchemaMismatch", "{message}");
    assert!(words.iter().all(|word| message.contains(word)), "{words:?} are not in {message:?}");
    assert!(harness.is_unsettled("a"));
    assert!(harness.keys().iter().all(|key| key.starts_with("client/")), "{:?}", harness.keys());
    assert!(harness.sessions().concat().iter().all(|sql| !sql.starts_with("COPY")));
}

/// Checks that archives are loaded as usual after `change`.
async fn is_loaded(change: &str) {
    let harness = Harness::start().await;
    // The first session creates the system tables.
    Harness::report(harness.invoke(&harness.put("first", &sample(1, 5), 1)).await);
    harness.admin(change).await;
    Harness::report(harness.invoke(&harness.put("a", &sample(3, 50), 2)).await);
    assert!(harness.is_good("a"));
}

/// A view and a foreign table in place of a table. A foreign table of PostgreSQL is an external table of
/// Redshift.
const VIEW: &str = "ALTER TABLE cmslite.cms_group RENAME TO other; CREATE VIEW cmslite.cms_group AS SELECT * FROM cmslite.other;
    GRANT ALL ON cmslite.cms_group TO cmslite_loader";
const EXTERNAL: &str = "ALTER TABLE cmslite.cms_group RENAME TO other; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
    CREATE FOREIGN TABLE cmslite.cms_group (id text, name text, active bool, site_key text) SERVER s;
    GRANT ALL ON cmslite.cms_group TO cmslite_loader";

cases! {
    async tables_that_cannot_be_loaded_are_told_before_anything_is_staged: is_refused_before_staging {
        column_that_nothing_fills(
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL",
            &["table cmslite.cms_group", "its column extra is NOT NULL", "give it a default"],
        );
        column_that_is_not_there(
            "ALTER TABLE cmslite.user_status DROP COLUMN status",
            &["table cmslite.user_status", "no column status", "\"columns\""],
        );
        derived_column_that_is_not_there(
            "ALTER TABLE cmslite.user_activity DROP COLUMN group_name",
            &["table cmslite.user_activity", "no column group_name", "\"derived\""],
        );
        two_of_them(
            "ALTER TABLE cmslite.user_status DROP COLUMN status; ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL",
            &["table cmslite.cms_group: its column extra", "table cmslite.user_status: it has no column status"],
        );
        view(VIEW, &["table cmslite.cms_group", "it is a view", "\"dbtable\""]);
        external_table(EXTERNAL, &["table cmslite.cms_group", "it is an external table", "\"dbtable\""]);
    }
}

cases! {
    async columns_that_need_no_filling_are_no_obstacle: is_loaded {
        with_a_default("ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL DEFAULT 1");
        nullable("ALTER TABLE cmslite.cms_group ADD COLUMN extra int");
        identity("ALTER TABLE cmslite.cms_group ADD COLUMN extra bigint GENERATED ALWAYS AS IDENTITY NOT NULL");
        identity_by_default("ALTER TABLE cmslite.cms_group ADD COLUMN extra bigint GENERATED BY DEFAULT AS IDENTITY NOT NULL");
        types_that_cannot_be_read("REVOKE SELECT ON pg_catalog.svv_tables FROM PUBLIC");
        defaults_that_cannot_be_read(
            "ALTER TABLE cmslite.cms_group ADD COLUMN extra int NOT NULL DEFAULT 1; REVOKE SELECT ON pg_attrdef FROM PUBLIC"
        );
        columns_that_cannot_be_read("REVOKE SELECT ON pg_catalog.svv_columns FROM PUBLIC");
    }
}
