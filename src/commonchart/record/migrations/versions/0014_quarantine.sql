-- Quarantine: results that may not be believed until somebody looked, and what clinicians decided about them.

CREATE TABLE quarantine (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, rtype text NOT NULL, id text NOT NULL,
    analyte text NOT NULL,                                          -- of the rule pack, '' where it is the whole result
    kind text NOT NULL,                                             -- time implausible jump specimen identity unit
    reason text NOT NULL, label text NOT NULL, vid int NOT NULL,    -- the version of the result that is doubted
    also text[] NOT NULL,                                           -- the same result from other sources
    since timestamptz NOT NULL,
    PRIMARY KEY (pk, tenant, patient, rtype, id, analyte)
);
CREATE INDEX quarantine_oldest ON quarantine (tenant, since, patient, id);
CREATE TABLE quarantine_answer (
    pk bigint NOT NULL, tenant int NOT NULL, patient text NOT NULL, rtype text NOT NULL, id text NOT NULL,
    n int NOT NULL, vid int NOT NULL,                               -- an answer is about one version: a newer one asks again
    decision text NOT NULL,                                         -- released rejected corrected asked undone
    reason text NOT NULL,                                           -- what spoke against the result when it was decided
    comment text NOT NULL, actor text NOT NULL, at timestamptz NOT NULL,
    PRIMARY KEY (pk, tenant, patient, rtype, id, n)
);
