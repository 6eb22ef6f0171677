-- Numbers behind an epoch's floor that no event was ever stored for, as far back as a source can still send them.
CREATE TABLE hole(epoch INTEGER, pos INTEGER, PRIMARY KEY(epoch, pos)) WITHOUT ROWID;
