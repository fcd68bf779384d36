# realmlift with pg_dump and psql of PostgreSQL 18, which also read older servers. It runs as a user who is not root.
#
#   docker build -t realmlift .
#   docker run --rm -e DATABASE_URL -v /home/zulip/uploads:/uploads:ro -v "$PWD/out:/work/out" --user "$(id -u):$(id -g)" \
#     realmlift export --realm acme --uploads-dir /uploads

FROM node:20-bookworm-slim AS build
WORKDIR /source
COPY package.json package-lock.json ./
# No scripts: the servers of the tests are not started here.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm pack --pack-destination /tmp

FROM node:20-bookworm-slim
# https://www.postgresql.org/download/linux/debian/
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl \
 && install -d /usr/share/postgresql-common/pgdg \
 && curl -fsSo /usr/share/postgresql-common/pgdg/apt.postgresql.org.asc https://www.postgresql.org/media/keys/ACCC4CF8.asc \
 && echo 'deb [signed-by=/usr/share/postgresql-common/pgdg/apt.postgresql.org.asc] https://apt.postgresql.org/pub/repos/apt bookworm-pgdg main' > /etc/apt/sources.list.d/pgdg.list \
 && apt-get update \
 && apt-get install -y --no-install-recommends postgresql-client-18 \
 && apt-get purge -y --auto-remove curl \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /tmp/realmlift-*.tgz /tmp/realmlift.tgz
RUN npm install --global --omit=dev --no-audit --no-fund /tmp/realmlift.tgz \
 && rm -rf /tmp/realmlift.tgz /root/.npm
WORKDIR /work
RUN chown node:node /work
USER node
ENTRYPOINT ["realmlift"]
CMD ["--help"]
