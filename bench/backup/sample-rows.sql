-- Grows the Zulip sample database to about 1 GB of rows: 400,000 messages of 80 words with their rendered text and search
-- vector, and 4.8 million usermessage rows. The same rows at every run.
SELECT setseed(0.5);

CREATE TEMP TABLE word AS
SELECT g AS n, substr(translate(md5(g::text), '0123456789', 'etaoinshrd'), 1, 2 + (g * 7) % 9) AS word FROM generate_series(0, 3999) g;
CREATE UNIQUE INDEX ON word (n);
ANALYZE word;

-- random() ^ 3 makes some words frequent, as in a natural language, so that the text compresses like one.
CREATE TEMP TABLE phrase AS
SELECT pick.n, string_agg(word.word, ' ') AS text
FROM (SELECT g / 40 AS n, floor(4000 * random() ^ 3)::int AS word FROM generate_series(0, 40 * 20000 - 1) g) pick JOIN word ON word.n = pick.word
GROUP BY pick.n;
CREATE UNIQUE INDEX ON phrase (n);
ANALYZE phrase;

CREATE TEMP TABLE base AS SELECT max(id) AS id FROM zulip.zerver_message;
CREATE TEMP TABLE reader AS
SELECT row_number() OVER (ORDER BY id) - 1 AS n, id, count(*) OVER () AS readers FROM zulip.zerver_userprofile;

INSERT INTO zulip.zerver_message (id, type, subject, content, rendered_content, rendered_content_version, date_sent, has_attachment, has_image,
       has_link, search_tsvector, sender_id, sending_client_id, realm_id, recipient_id, is_channel_message)
OVERRIDING SYSTEM VALUE
SELECT base.id + pick.g, 1, 'topic ' || pick.g % 500, t.text, '<p>' || t.text || '</p>', 1, timestamptz '2024-01-01 00:00Z' + pick.g * interval '1 minute',
       false, false, false, to_tsvector('simple', t.text), m.sender_id, m.sending_client_id, m.realm_id, m.recipient_id, true
FROM base, (SELECT * FROM zulip.zerver_message ORDER BY id LIMIT 1) m,
     (SELECT g, floor(20000 * random())::int AS a, floor(20000 * random())::int AS b FROM generate_series(1, 400000) g) pick
     JOIN phrase a ON a.n = pick.a JOIN phrase b ON b.n = pick.b, LATERAL (SELECT a.text || ' ' || b.text AS text) t;

INSERT INTO zulip.zerver_usermessage (id, flags, message_id, user_profile_id) OVERRIDING SYSTEM VALUE
SELECT (SELECT max(id) FROM zulip.zerver_usermessage) + row_number() OVER (), CASE WHEN g % 50 = k THEN 9 ELSE 1 END, base.id + g, reader.id
FROM base, generate_series(1, 400000) g, generate_series(0, 11) k, reader
WHERE reader.n = (g + k) % reader.readers;

SELECT setval(pg_get_serial_sequence('zulip.zerver_message', 'id'), (SELECT max(id) FROM zulip.zerver_message));
SELECT setval(pg_get_serial_sequence('zulip.zerver_usermessage', 'id'), (SELECT max(id) FROM zulip.zerver_usermessage));
