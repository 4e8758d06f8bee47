# The program as a container task, for archives that need more than Lambda's 15 minutes (docs/how-to/run-without-lambda.md).
FROM public.ecr.aws/docker/library/rust:1.95-bookworm AS build
WORKDIR /source
COPY . .
RUN cargo build --release --locked --bin cmslite-user-data-to-redshift && mkdir /work

# The C library, certificates, and nothing else; user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /source/target/release/cmslite-user-data-to-redshift /usr/bin/
COPY config.d /config.d
# The command writes its log below this directory. A volume gets the owner of the directory over which it is mounted.
COPY --from=build --chown=65532:65532 /work /work
VOLUME ["/work"]
WORKDIR /work
USER 65532
# checkov:skip=CKV_DOCKER_2: The exit status of a task says whether it succeeded.
ENTRYPOINT ["cmslite-user-data-to-redshift"]
CMD ["load", "/config.d/cmslite_user_group_metadata.json", "--metrics"]
