//! Holds the parts of the help that are not options: examples, variables, exit statuses. Lines fit 80
//! columns.

/// The exit statuses of `load`, `check` and `status`, and of the command as a whole.
pub(super) const EXIT_STATUS: &str = "\
Exit status:
  0  everything asked for was done; load: each archive ended as good
  1  load: stopped at a bad archive; validate: an archive is bad
  2  usage or configuration
  3  anything else failed; check: a load would fail";

pub(super) const FIRST_STEPS: &str = "\
First steps, with CONFIG such as cmslite_user_group_metadata:
  init FILE                a configuration for a new dataset, from an archive
  validate CONFIG FILE...  before the upload: is an archive here good?
  check CONFIG             is everything there that a load needs?
  load CONFIG --dry-run    what would be loaded, and what is wrong?
  load CONFIG --limit 1    load the oldest archive
  load CONFIG              load them all
  status CONFIG            what is loaded, what waits, what is bad and why?
  show CONFIG KEY          everything about one archive
";

pub(super) const ENVIRONMENT: &str = "\
Environment:
  AWS_REGION and other AWS_*     access to AWS, as for every AWS program
  PGHOST, PGPORT, PGDATABASE     the cluster; the port is 5439 by default
  PGUSER; pgpass or PGPASSWORD   the login
  PGPASS_SECRET_ID               instead of the password: its secret's name or
                                 ARN
  REDSHIFT_CLUSTER               instead of any password: an IAM login to this
                                 cluster
  REDSHIFT_WORKGROUP             the same for a Redshift Serverless workgroup
  PGSSLMODE, PGSSLROOTCERT       verify-full by default; other certificates to
                                 trust
  COPY_IAM_ROLE                  COPY's role: an ARN or `default`; else own keys
  S3_BUCKET_OWNER                the account that the bucket must belong to
  S3_KMS_KEY_ID                  the KMS key that encrypts what is written
  BAD_ARCHIVE_TOPIC_ARN          an SNS topic for messages about bad archives
  LEAVE_TO_TASK_BYTES            in Lambda: larger archives are left to a task
  STATUS_PAGE                    in Lambda: `on` writes a page after each run
  CONFIG_DIR                     a directory of configurations, instead of the
                                 bundled ones
  NO_COLOR, CLICOLOR_FORCE       no colours; colours without a terminal too
";

pub(super) const LOAD: &str = "\
Examples:
  load CONFIG --until client/cmslite_gdx/cms-analytics-csv_2024.tgz
          everything up to that archive, oldest first
  load CONFIG --again client/cmslite_gdx/cms-analytics-csv_2024.tgz
          that archive once more, after its tables were damaged or it was
          wrongly found bad
  load CONFIG --accept-shrink client/cmslite_gdx/cms-analytics-csv_2024.tgz
          that archive, with fewer rows than the configuration allows
  load CONFIG --json | jq .objects_good
          the report for a program

Ctrl-C stops before the next step, or within two seconds while S3 or Redshift
keeps the command waiting, and leaves nothing half done. A second Ctrl-C ends
the command at once. Once a minute, the command says what it is waiting for.
A TIME is a number and s, m or h. The log is written to
logs/cmslite_user_data_to_redshift.log, or to the file of --log-file.
";

pub(super) const CHECK: &str = "\
Examples:
  check --offline CONFIG
          is the configuration sound, and what does it mean?
  check CONFIG
          each thing that a load needs, and what to do if it is missing
  check CONFIG --json | jq '.findings[] | select(.outcome == \"bad\")'
          only what is wrong
";

pub(super) const STATUS: &str = "\
Examples:
  status CONFIG
          what waits, what is bad and why, and the last of what is loaded
  status CONFIG --json | jq -r '.bad[].key'
          the keys of all bad archives
  status CONFIG --html status.html
          the same as a page for a browser
";

pub(super) const SHOW: &str = "\
Examples:
  show CONFIG cms-analytics-csv_2024.tgz
          the archive with this name below the dataset's prefix
  show CONFIG client/cmslite_gdx/cms-analytics-csv_2024.tgz --json | jq .state
          whether it is good, bad, waiting, superseded, passed_over or gone
";

pub(super) const VALIDATE: &str = "\
Examples:
  validate CONFIG export.tgz --ddl ddl/tables.sql
          what a load would find, as far as possible without Redshift
  tar -cz *.csv | validate CONFIG - --json
          the same for standard input, as JSON

With --json, `archives` has a document in the form of error.json for each
archive, in which `problems_found` is 0 for a good one, and `tables` has its
rows.
";

pub(super) const VALIDATE_EXIT_STATUS: &str = "\
Exit status:
  0  every archive is good
  1  an archive is bad
  2  usage: a file cannot be read; CONFIG or the statements of --ddl are wrong";

pub(super) const INIT: &str = "\
Examples:
  init people_2024-03-01.tgz --bucket my-bucket
          people.json and people.sql, in this directory
  init people.tgz --output config.d --name people --append --force
          the same in config.d, with loads that append their rows
";

pub(super) const INIT_EXIT_STATUS: &str = "\
Exit status:
  0  both files are written
  1  both are written, but the archive is bad with them: the result says why
  2  nothing is written: the archive cannot be read, nothing can be guessed
     from it, or a file exists";

pub(super) const COMPLETIONS: &str = "\
The script knows the datasets that exist when it is generated.

Examples:
  source <(cmslite-user-data-to-redshift completions bash)
          for this shell; put it into ~/.bashrc for all shells
  cmslite-user-data-to-redshift completions fish > \\
    ~/.config/fish/completions/cmslite-user-data-to-redshift.fish

Exit status:
  0  the script is printed
  2  usage";
