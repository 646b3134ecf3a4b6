"""The tables of ``catalog.sqlite``.

Keys are integers counted by the one process that writes. JSON of the search levels is kept as fragments, one
``"TAG":{...}`` a line with tags ascending, so that a search merges lines and encodes nothing.
"""

from __future__ import annotations

__all__ = ["SCHEMA", "UPGRADES", "VERSION"]

VERSION = 4
"""Layout of the tables; a home with a lower number is brought up to it, one with a higher number is refused."""

_POLICIES = """
CREATE TABLE policies (
    kind TEXT NOT NULL, key INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
"""

_OPERATIONS = """
CREATE TABLE operations (
    id TEXT PRIMARY KEY, dataset_key INTEGER NOT NULL, kind TEXT NOT NULL, method TEXT NOT NULL, request BLOB NOT NULL,
    state BLOB NOT NULL, counter BLOB NOT NULL, attempts INTEGER NOT NULL, cancel_requested INTEGER NOT NULL,
    created INTEGER NOT NULL, ended INTEGER, outcome BLOB);
CREATE INDEX operations_dataset ON operations (dataset_key, id);
CREATE INDEX operations_unfinished ON operations (id) WHERE ended IS NULL;
CREATE INDEX operations_ended ON operations (ended) WHERE ended IS NOT NULL;
CREATE TABLE operation_errors (
    key INTEGER PRIMARY KEY, operation TEXT NOT NULL, source TEXT NOT NULL, code INTEGER NOT NULL,
    message TEXT NOT NULL);
CREATE INDEX operation_errors_operation ON operation_errors (operation, key);
"""

_MESSAGES = """
CREATE TABLE topics (
    key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, last INTEGER NOT NULL, delivered INTEGER NOT NULL, stall TEXT);
CREATE TABLE messages (
    key INTEGER PRIMARY KEY, topic_key INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
    store TEXT NOT NULL, action TEXT, published INTEGER NOT NULL, waiting INTEGER NOT NULL, packed BLOB NOT NULL);
CREATE INDEX messages_topic ON messages (topic_key, last);
CREATE INDEX messages_published ON messages (published);
CREATE INDEX messages_waiting ON messages (topic_key, last) WHERE waiting = 1;
"""

# The operations of layout 2 were all done when they were made.
_OPERATIONS_FROM_2 = """
INSERT INTO operations
SELECT substr(name, instr(name, '/operations/') + 12), dataset_key, '',
    json_extract(body, '$.metadata.apiMethodName'), '{}', '{}',
    COALESCE(json_extract(body, '$.metadata.counter'), '{}'), 1, 0,
    CAST(strftime('%s', json_extract(body, '$.metadata.createTime')) AS INTEGER) * 1000000,
    CAST(strftime('%s', json_extract(body, '$.metadata.endTime')) AS INTEGER) * 1000000,
    json_object('response', json_extract(body, '$.response'))
FROM (SELECT name, dataset_key, CAST(body AS TEXT) AS body FROM former);
DROP TABLE former;
"""

# Stores of layout 2 could name topics, to which nothing was written.
_TOPICS_FROM_2 = """
INSERT OR IGNORE INTO topics (name, last, delivered)
SELECT json_extract(c.value, '$.pubsubTopic'), 0, 0
FROM stores, json_each(json_extract(CAST(resource AS TEXT), '$.notificationConfigs')) c
UNION SELECT json_extract(CAST(resource AS TEXT), '$.notificationConfig.pubsubTopic'), 0, 0 FROM stores
WHERE json_extract(CAST(resource AS TEXT), '$.notificationConfig.pubsubTopic') <> '';
"""

_MODALITIES = """
CREATE TABLE study_modalities (
    store_key INTEGER NOT NULL, modality TEXT NOT NULL, study_key INTEGER NOT NULL,
    PRIMARY KEY (store_key, modality, study_key)) WITHOUT ROWID;
"""

_SEARCH_INDEXES = """
CREATE INDEX studies_store ON studies (store_key);
CREATE INDEX studies_description ON studies (store_key, description);
CREATE INDEX studies_referring_folded ON studies (store_key, referring_folded);
CREATE INDEX studies_patient_folded_groups ON studies (store_key) WHERE instr(patient_folded, '=') > 0;
CREATE INDEX studies_referring_folded_groups ON studies (store_key) WHERE instr(referring_folded, '=') > 0;
CREATE INDEX series_store ON series (store_key);
CREATE INDEX series_description ON series (store_key, description);
"""

_MODALITIES_FROM_2 = """
INSERT INTO study_modalities SELECT DISTINCT store_key, modality, study_key FROM series WHERE modality IS NOT NULL;
"""

_QUARANTINE = """
CREATE TABLE quarantine (
    key INTEGER PRIMARY KEY AUTOINCREMENT, stream_key INTEGER NOT NULL, row BLOB, reason TEXT NOT NULL,
    created REAL NOT NULL, study TEXT, series TEXT, instance TEXT, size INTEGER, attempts INTEGER NOT NULL);
CREATE INDEX quarantine_stream ON quarantine (stream_key);
"""

# In layout 3 rows could be set aside for streams that were gone, whose keys may be given anew. A stream whose store was
# deleted had the key of the store, which may be given anew, too.
_QUARANTINE_FROM_3 = """
DROP INDEX quarantine_stream;
ALTER TABLE quarantine RENAME TO former_quarantine;
"""
_STREAMS_FROM_3 = """
INSERT INTO quarantine
SELECT key, stream_key, row, reason, created, json_extract(CAST(row AS TEXT), '$.StudyInstanceUID'),
    json_extract(CAST(row AS TEXT), '$.SeriesInstanceUID'), json_extract(CAST(row AS TEXT), '$.SOPInstanceUID'),
    length(row), 1
FROM former_quarantine
WHERE stream_key IN (SELECT key FROM streams WHERE store_key IN (SELECT key FROM stores));
DROP TABLE former_quarantine;
ALTER TABLE streams ADD COLUMN moved REAL;
UPDATE streams SET failed = (SELECT COUNT(*) FROM quarantine WHERE stream_key = streams.key);
UPDATE streams SET store_key = -key WHERE store_key NOT IN (SELECT key FROM stores);
ALTER TABLE outbox ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
"""

UPGRADES = {
    1: _POLICIES,
    2: f"ALTER TABLE operations RENAME TO former; {_OPERATIONS}{_OPERATIONS_FROM_2}{_MESSAGES}{_TOPICS_FROM_2}"
    f"{_MODALITIES}{_MODALITIES_FROM_2}{_SEARCH_INDEXES}",
    3: f"{_QUARANTINE_FROM_3}{_QUARANTINE}{_STREAMS_FROM_3}",
}
"""Layout -> what makes the next one of it."""

SCHEMA = f"""{_POLICIES}{_OPERATIONS}{_MESSAGES}{_MODALITIES}
CREATE TABLE datasets (
    key INTEGER PRIMARY KEY, parent TEXT NOT NULL, id TEXT NOT NULL, resource BLOB NOT NULL, UNIQUE (parent, id));
CREATE TABLE stores (
    key INTEGER PRIMARY KEY, dataset_key INTEGER NOT NULL, id TEXT NOT NULL, resource BLOB NOT NULL,
    generation INTEGER NOT NULL, UNIQUE (dataset_key, id));
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE studies (
    key INTEGER PRIMARY KEY, store_key INTEGER NOT NULL, uid TEXT NOT NULL,
    patient_name TEXT, patient_folded TEXT, patient_id TEXT, accession_number TEXT,
    referring_name TEXT, referring_folded TEXT, study_date TEXT, study_time TEXT, study_id TEXT,
    birth_date TEXT, sex TEXT, description TEXT,
    modalities TEXT NOT NULL, series_count INTEGER NOT NULL, instance_count INTEGER NOT NULL,
    json BLOB NOT NULL, UNIQUE (store_key, uid));
CREATE INDEX studies_patient_name ON studies (store_key, patient_name);
CREATE INDEX studies_patient_folded ON studies (store_key, patient_folded);
CREATE INDEX studies_patient_id ON studies (store_key, patient_id);
CREATE INDEX studies_accession_number ON studies (store_key, accession_number);
CREATE INDEX studies_referring_name ON studies (store_key, referring_name);
CREATE INDEX studies_study_date ON studies (store_key, study_date);
CREATE INDEX studies_patient_groups ON studies (store_key) WHERE instr(patient_name, '=') > 0;
CREATE INDEX studies_referring_groups ON studies (store_key) WHERE instr(referring_name, '=') > 0;

CREATE TABLE series (
    key INTEGER PRIMARY KEY, store_key INTEGER NOT NULL, study_key INTEGER NOT NULL, uid TEXT NOT NULL,
    modality TEXT, number INTEGER, description TEXT, body_part TEXT, step_date TEXT,
    instance_count INTEGER NOT NULL, json BLOB NOT NULL, UNIQUE (study_key, uid));
CREATE INDEX series_uid ON series (uid, store_key);
CREATE INDEX series_modality ON series (store_key, modality);

CREATE TABLE instances (
    key INTEGER PRIMARY KEY, store_key INTEGER NOT NULL, series_key INTEGER NOT NULL, uid TEXT NOT NULL,
    sop_class TEXT, number INTEGER, transfer_syntax TEXT NOT NULL,
    segment INTEGER NOT NULL, offset INTEGER NOT NULL, length INTEGER NOT NULL, sha256 BLOB NOT NULL,
    storage_class TEXT NOT NULL, updated INTEGER NOT NULL, json BLOB NOT NULL, UNIQUE (uid, series_key));
CREATE INDEX instances_series ON instances (series_key);
CREATE INDEX instances_store ON instances (store_key);
CREATE INDEX instances_place ON instances (segment, offset);
CREATE TABLE metadata (key INTEGER PRIMARY KEY, packed BLOB NOT NULL);
CREATE TABLE dictionaries (series_key INTEGER PRIMARY KEY, packed BLOB NOT NULL);

CREATE TABLE segments (
    key INTEGER PRIMARY KEY, own INTEGER NOT NULL, size INTEGER NOT NULL, live INTEGER NOT NULL);
CREATE INDEX segments_shared ON segments (key) WHERE own = 0;

CREATE TABLE streams (
    key INTEGER PRIMARY KEY, store_key INTEGER NOT NULL, table_uri TEXT NOT NULL, config BLOB NOT NULL,
    active INTEGER NOT NULL, delivered INTEGER NOT NULL, failed INTEGER NOT NULL, stall TEXT, refusal TEXT,
    moved REAL, UNIQUE (store_key, table_uri));
CREATE TABLE bundles (key INTEGER PRIMARY KEY, insert_id TEXT NOT NULL, packed BLOB NOT NULL);
CREATE TABLE outbox (
    key INTEGER PRIMARY KEY, stream_key INTEGER NOT NULL, bundle_key INTEGER NOT NULL, row_count INTEGER NOT NULL,
    created REAL NOT NULL, attempts INTEGER NOT NULL DEFAULT 0);
CREATE INDEX outbox_stream ON outbox (stream_key);
CREATE INDEX outbox_bundle ON outbox (bundle_key);
{_QUARANTINE}{_SEARCH_INDEXES}"""
