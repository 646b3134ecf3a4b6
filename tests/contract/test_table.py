"""What can be made of the table that a store streams to; expectations are worked out by hand from what was stored."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest

import dicomkit as dk
from dicomkit.errors import FailedPrecondition, InvalidArgument, LenientValueWarning, NotFound
from tests.contract.instances import ROOT, ct_slice, part10
from tests.contract.streamed import item, requested, uids, with_private

URI = "bq://local.imaging.ct"
SEQUENCE = "RequestAttributesSequence"
STEP = f"{SEQUENCE}__ScheduledProcedureStepID"
CODE = f"{SEQUENCE}__RequestedProcedureCodeSequence__CodeValue"
REGION = "AnatomicRegionSequence__CodeValue"


def rows(frame: pd.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """The rows of some columns in an order of their own, ``None`` for what is missing."""
    cells = [
        [None if pd.api.types.is_scalar(cell) and pd.isna(cell) else cell for cell in frame[column]]
        for column in columns
    ]
    return sorted(zip(*cells, strict=True), key=str)


@pytest.fixture
def store(conn: dk.Dataset) -> dk.Store:
    """A store that streams to a table."""
    return conn.create_store("ct", stream_to=URI)


def test_current_rows_are_what_the_store_has(store: dk.Store) -> None:
    """Deleted instances are gone, one that was stored again is there once, and one that was moved as it is now."""
    store.upload([ct_slice(1, 1, i) for i in range(1, 5)])
    store.delete_instance(*uids(instance=2))
    store.delete_instance(*uids(instance=3))
    store.upload(ct_slice(1, 1, 3, SeriesDescription="again"))
    store.set_blob_storage_settings("NEARLINE").result()
    store.delete_instance(*uids(instance=4))
    events = store.sql("SELECT Type, COUNT(*) AS n FROM {table} GROUP BY Type")
    assert rows(events, "Type", "n") == [("CREATE", 5), ("DELETE", 3), ("UPDATE", 3)]
    current = store.table().current().to_frame()
    assert rows(current, "SOPInstanceUID", "StorageClass", "SeriesDescription", "Type") == [
        (uids(instance=1)[2], "NEARLINE", None, "UPDATE"),
        (uids(instance=3)[2], "NEARLINE", "again", "UPDATE"),
    ]
    assert set(current["SOPInstanceUID"]) == set(store.search_instances()["SOPInstanceUID"])
    # Instance 1 was stored and moved; 3 was stored, deleted, stored and moved.
    joined = store.sql("SELECT t.Type FROM {current} AS c JOIN {table} AS t ON t.SOPInstanceUID = c.SOPInstanceUID")
    assert rows(joined, "Type") == [("CREATE",)] * 3 + [("DELETE",)] + [("UPDATE",)] * 2


def test_a_row_that_was_delivered_twice_counts_once(conn: dk.Dataset, store: dk.Store) -> None:
    """Delivery is at least once, and the order of arrival is none: the newest event counts, a deletion before all."""
    store.upload(ct_slice())
    store.sql("SELECT 1 FROM {table}")
    study, series, instance = uids(instance=2)
    names = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": instance}
    late = [
        {**names, "Type": "CREATE", "LastUpdated": "2024-01-02T00:00:00Z", "Modality": "MR"},
        {**names, "Type": "CREATE", "LastUpdated": "2024-01-01T00:00:00Z", "Modality": "US"},
        {**names, "Type": "CREATE", "LastUpdated": "2024-01-02T00:00:00Z", "Modality": "MR"},
    ]
    same_moment = [
        {**names, "SOPInstanceUID": f"{instance}.9", "Type": kind, "LastUpdated": "2024-01-01T00:00:00Z"}
        for kind in ("CREATE", "DELETE", "CREATE")
    ]
    assert conn.bigquery_client().insert_rows_json("local.imaging.ct", late + same_moment) == []
    current = store.table().current().to_frame()
    assert rows(current, "SOPInstanceUID", "Modality") == [(uids()[2], "CT"), (instance, "MR")]


def test_a_sequence_is_flattened_to_a_row_for_each_item(store: dk.Store) -> None:
    """Attributes of one item are in one row, those of the item that it is inside of are repeated beside it."""
    store.upload([requested(), ct_slice(2)])
    table = store.table()
    one = table.flatten(f"{SEQUENCE}.ScheduledProcedureStepID").to_frame()
    assert list(one) == ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", STEP]
    assert rows(one, "SOPInstanceUID", STEP) == [(uids()[2], "S1"), (uids()[2], "S2")]
    deep = table.flatten(
        f"{SEQUENCE}.RequestedProcedureCodeSequence.CodeValue",
        f"{SEQUENCE}.ScheduledProcedureStepID",
        keep=["PatientID"],
    ).to_frame()
    assert list(deep) == ["PatientID", CODE, STEP]
    assert rows(deep, STEP, CODE) == [("S1", "A"), ("S1", "B"), ("S2", None)]


def test_paths_may_be_written_as_in_a_search(store: dk.Store) -> None:
    """Two underscores for the dot, tags for keywords; the columns are called the same."""
    store.upload(requested())
    table = store.table()
    for path in (f"{SEQUENCE}__ScheduledProcedureStepID", "00400275.00400009", f"{SEQUENCE.lower()}.00400009"):
        assert rows(table.flatten(path).to_frame(), STEP) == [("S1",), ("S2",)]


def test_a_sequence_itself_stands_for_all_that_its_items_have(store: dk.Store) -> None:
    """A path need not end at one attribute; places count from 0, as BigQuery's offsets."""
    store.upload(requested())
    frame = store.table().flatten("AnatomicRegionSequence", keep=[], places=True).to_frame()
    names = ["place", "CodeValue", "CodingSchemeDesignator", "CodeMeaning"]
    assert list(frame) == [f"AnatomicRegionSequence__{name}" for name in names]
    assert rows(frame, *frame) == [(n - 1, f"R{n}", "99T", f"meaning of R{n}") for n in (1, 2, 3)]


def test_instances_without_items_are_kept_when_asked_for(store: dk.Store) -> None:
    """As by a LEFT JOIN; otherwise a row is an item."""
    store.upload([requested(), ct_slice(2)])
    table = store.table()
    kept = table.flatten(f"{SEQUENCE}.ScheduledProcedureStepID", keep=["PatientID"], keep_empty=True).to_frame()
    assert rows(kept, "PatientID", STEP) == [("P1", "S1"), ("P1", "S2"), ("P2", None)]


def test_different_sequences_side_by_side_or_each_with_each(store: dk.Store) -> None:
    """Two requests with three procedures in all, beside three regions: three rows, or nine."""
    store.upload([requested(), ct_slice(2)])
    paths = (f"{SEQUENCE}.ScheduledProcedureStepID", f"{SEQUENCE}.RequestedProcedureCodeSequence.CodeValue", REGION)
    table = store.table()
    beside = table.flatten(*paths, keep=["PatientID"]).to_frame()
    assert list(beside) == ["PatientID", STEP, CODE, REGION]
    assert rows(beside, STEP, CODE, REGION) == [("S1", "A", "R1"), ("S1", "B", "R2"), ("S2", None, "R3")]
    product = table.flatten(*paths, branches="product").to_frame()
    items = [("S1", "A"), ("S1", "B"), ("S2", None)]
    assert rows(product, STEP, CODE, REGION) == sorted(((*i, f"R{n}") for i in items for n in (1, 2, 3)), key=str)
    kept = table.flatten(*paths, keep=["PatientID"], keep_empty=True).to_frame()
    assert rows(kept, "PatientID", REGION)[-1] == ("P2", None)
    assert len(kept) == 4


def test_sequences_inside_of_one_item_side_by_side(store: dk.Store) -> None:
    """What the paths share is joined first, and only behind it items are put beside each other."""
    made = requested()
    made.RequestAttributesSequence[0].ScheduledProtocolCodeSequence = [item(CodeValue="X")]
    store.upload(made)
    protocol = f"{SEQUENCE}__ScheduledProtocolCodeSequence__CodeValue"
    frame = store.table().flatten(STEP, CODE, protocol).to_frame()
    assert rows(frame, STEP, CODE, protocol) == [("S1", "A", "X"), ("S1", "B", None), ("S2", None, None)]
    with pytest.raises(InvalidArgument, match="branches='product'"):
        store.table().flatten(REGION, CODE, protocol)


def test_paths_that_lead_nowhere_are_refused_before_a_query(store: dk.Store) -> None:
    """The message says what is known of the name: no attribute, no column here, no sequence."""
    store.upload(requested())
    table = store.table()
    with pytest.raises(InvalidArgument, match="did you mean Modality"):
        table.facets("Modalty")
    with pytest.raises(InvalidArgument, match="no column 'KVP'"):
        table.flatten("KVP")
    with pytest.raises(InvalidArgument, match=f"no column 'PatientID' in {SEQUENCE}"):
        table.flatten(f"{SEQUENCE}.PatientID")
    with pytest.raises(InvalidArgument, match="no path leads through a sequence"):
        table.flatten("Modality")
    with pytest.raises(InvalidArgument, match="Modality has no fields"):
        table.flatten("Modality.CodeValue")
    with pytest.raises(InvalidArgument, match="flatten it first"):
        table.facets(f"{SEQUENCE}.ScheduledProcedureStepID")


def test_private_elements_have_their_creator(store: dk.Store) -> None:
    """Two creators share a group; the block's number is no part of what an attribute is called."""
    store.upload([with_private(), ct_slice(2)])
    table = store.table()
    found = table.private().to_frame()
    assert rows(found, "creator", "tag", "attribute", "values", "items") == [
        ("ACME 1", "00091002", "0009xx02[ACME 1]", ("x", "y"), None),
        ("ACME 1", "00091010", "0009xx10[ACME 1]", (), 2),
        ("OTHER", "00091102", "0009xx02[OTHER]", ("1.5",), None),
    ]
    assert set(found["SOPInstanceUID"]) == {uids()[2]}
    assert rows(table.private(creator="OTHER").to_frame(), "values") == [(("1.5",),)]
    assert len(table.private(creator="o'ther").to_frame()) == 0
    nested = table.private(within=SEQUENCE).to_frame()
    assert rows(nested, "creator", "attribute", "values") == [("NESTED", "0011xx05[NESTED]", ("deep",))]
    assert rows(table.flatten("Tag_00091010.CodeValue").to_frame(), "Tag_00091010__CodeValue") == [("P1",), ("P2",)]


def test_an_attribute_of_a_creator_is_called_as_a_search_calls_it(store: dk.Store) -> None:
    """What private() names can be searched for."""
    store.upload([with_private(), ct_slice(2)])
    (name,) = store.table().private(creator="OTHER").to_frame()["attribute"]
    assert len(store.search_instances(**{name: "1.5"})) == 1


@pytest.fixture
def odd(store: dk.Store, tmp_path: Path) -> dk.Store:
    """Four slices; of 2 the thickness and a spacing are no numbers, of 3 neither is the number nor the date one."""
    ages = {1: "045Y", 2: "006M", 3: "4 yr", 4: "010D"}
    changes: dict[int, list[tuple[bytes, bytes]]] = {
        2: [(b"2.50", b"2.5x"), (b"0.70\\0.75", b"0.70\\0,75")],
        3: [(b"IS\x02\x003 ", b"IS\x02\x003a"), (b"20240101", b"20241301"), (b"DS\x04\x002.50", b"DS\x04\x00 +5 ")],
    }
    folder = tmp_path / "odd"
    folder.mkdir()
    for i in range(1, 5):
        data = part10(ct_slice(1, 1, i, PixelSpacing=["0.70", "0.75"], PatientAge="001Y"))
        for old, new in [(b"001Y", ages[i].encode()), *changes.get(i, [])]:
            assert data.count(old) == 1
            data = data.replace(old, new)
        (folder / f"{i}.dcm").write_bytes(data)
    assert (store.upload(folder)["outcome"] == "stored").all()
    return store


def test_numbers_and_ages_get_their_types(odd: dk.Store) -> None:
    """What does not fit is missing, what was written is kept; an array of which a part does not fit is empty."""
    frame = odd.table().typed("InstanceNumber", "SliceThickness", "PixelSpacing", "PatientAge").to_frame()
    assert list(frame)[3:] == [
        *("InstanceNumber", "InstanceNumber_raw", "SliceThickness", "SliceThickness_raw"),
        *("PixelSpacing", "PixelSpacing_raw", "PatientAge", "PatientAge_years"),
    ]
    by_uid = frame.set_index("SOPInstanceUID").loc[[uids(instance=i)[2] for i in range(1, 5)]]
    assert by_uid["InstanceNumber"].tolist() == [1, 2, pd.NA, 4]
    assert by_uid["InstanceNumber_raw"].tolist() == ["1", "2", "3a", "4"]
    assert by_uid["SliceThickness"].tolist() == [2.5, pd.NA, 5.0, 2.5]
    assert by_uid["SliceThickness_raw"].str.strip().tolist() == ["2.50", "2.5x", "+5", "2.50"]
    assert by_uid["PixelSpacing"].tolist() == [(0.7, 0.75), (), (0.7, 0.75), (0.7, 0.75)]
    assert by_uid["PixelSpacing_raw"].tolist()[1] == ("0.70", "0,75")
    assert by_uid["PatientAge"].tolist() == ["045Y", "006M", "4 yr", "010D"]
    years = by_uid["PatientAge_years"]
    assert years.isna().tolist() == [False, False, True, False]
    assert years.dropna().tolist() == pytest.approx([45, 0.5, 10 / 365.25])


def test_typed_columns_merge_with_a_search(odd: dk.Store) -> None:
    """Numbers and names have the dtypes that a search gives them, and the same values."""
    typed = odd.table().typed("InstanceNumber", "SliceThickness", "PatientName", raw=False).to_frame()
    with pytest.warns(LenientValueWarning):
        search = odd.search_instances(fields=["SliceThickness"])
    for name in ("InstanceNumber", "SliceThickness", "PatientName"):
        assert typed[name].dtype == search[name].dtype
    both = typed.merge(search, on=["SOPInstanceUID"], suffixes=("", "_search"))
    assert len(both) == 4
    assert both["SliceThickness"].equals(both["SliceThickness_search"])
    assert set(typed["PatientName"]) == {"Test^Patient1"} == set(search["PatientName"])


def test_names_of_several_persons_are_text_each(store: dk.Store) -> None:
    """Where one of them is empty it stays between the others: an array of a result holds no NULL."""
    store.upload([ct_slice(1, OperatorsName=["A^B", "", "C"]), ct_slice(2)])
    table = store.table()
    frame = table.typed("OperatorsName", raw=False).to_frame()
    assert rows(frame, "OperatorsName") == [(("A^B", "", "C"),), ((),)]
    facets = table.facets("OperatorsName").to_frame()
    assert rows(facets, "value", "instances") == [("A^B\\\\C", 1), (None, 1)]
    assert rows(
        table.flatten("OperatorsName.Alphabetic.FamilyName").to_frame(), "OperatorsName__Alphabetic__FamilyName"
    ) == [
        ("A",),
        ("C",),
        (None,),
    ]


def test_what_did_not_fit_is_listed(odd: dk.Store) -> None:
    """Text that is no number, and what the service put aside because the column could not hold it."""
    report = odd.table().typed().misfits().to_frame()
    found = [(a, vr, value.strip(), n) for a, vr, value, n in rows(report, "attribute", "vr", "value", "instances")]
    assert found == [
        ("InstanceNumber", "IS", "3a", 1),
        ("PatientAge", "AS", "4 yr", 1),
        ("PixelSpacing", "DS", "0.70\\0,75", 1),
        ("SliceThickness", "DS", "2.5x", 1),
        ("StudyDate", "DA", "20241301", 1),
    ]
    only = odd.table().typed("StudyDate").misfits().to_frame()
    assert rows(only, "attribute", "value") == [("StudyDate", "20241301")]


def test_facets_count_studies_series_and_instances(store: dk.Store) -> None:
    """Not rows: an instance that was stored twice counts once. What has no value is counted, too."""
    store.upload([ct_slice(1, s, i) for s in (1, 2) for i in (1, 2)])
    store.upload([ct_slice(2, 1, 1, Modality="MR", BodyPartExamined="HEAD"), ct_slice(3, Modality="MR")])
    store.set_blob_storage_settings("COLDLINE").result()
    facets = store.table().facets("Modality", "BodyPartExamined", "ImageType", "StudyDate", top=2).to_frame()
    assert facets.iloc[:, :2].astype(object).where(facets.iloc[:, :2].notna(), None).values.tolist() == [
        *(["Modality", "CT"], ["Modality", "MR"]),
        *(["BodyPartExamined", None], ["BodyPartExamined", "HEAD"]),
        ["ImageType", "ORIGINAL\\PRIMARY\\AXIAL"],
        *(["StudyDate", "2024-01-01"], ["StudyDate", "2024-01-02"]),
    ]
    assert facets["studies"].tolist() == [1, 2, 2, 1, 3, 1, 1]
    assert facets["series"].tolist() == [2, 2, 3, 1, 4, 2, 1]
    assert facets["instances"].tolist() == [4, 2, 5, 1, 6, 4, 1]


def test_missing_values_are_counted(store: dk.Store) -> None:
    """Absent and empty alike, also by the values of another attribute, the worst first."""
    store.upload(
        [
            ct_slice(1, PatientAge="045Y", PatientName=None),
            ct_slice(2, PatientAge=""),
            ct_slice(3, Modality="MR", PixelSpacing=["1", "1"]),
        ]
    )
    table = store.table()
    missing = table.missing("PatientAge", "PixelSpacing", "PatientName", "Modality").to_frame()
    assert missing["attribute"].tolist() == ["PatientAge", "PixelSpacing", "PatientName", "Modality"]
    assert missing["missing"].tolist() == [2, 2, 1, 0]
    assert missing["rows"].tolist() == [3, 3, 3, 3]
    assert missing["share"].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0])
    by = table.missing("PatientAge", by="Modality").to_frame()
    assert rows(by, "Modality", "rows", "missing") == [("CT", 2, 1), ("MR", 1, 1)]
    assert set(table.missing().to_frame()["attribute"]) >= {"PatientAge", "OtherElements", "LastUpdated"}


def test_describe_says_how_many_and_from_where_to_where(store: dk.Store) -> None:
    """Numbers that are text go by their number: 10 is more than 9."""
    thick = {1: "9.0", 2: "10", 3: "2.5"}
    store.upload([ct_slice(i, SliceThickness=thick[i], Rows=4 * i) for i in thick])
    wanted = ("SliceThickness", "StudyDate", "Rows", "ImageType", "PatientName")
    frame = store.table().describe(*wanted).to_frame().set_index("attribute")
    assert list(frame.index) == list(wanted)
    assert frame["vr"].tolist() == ["DS", "DA", "US", "CS", "PN"]
    assert frame["present"].tolist() == [3] * 5
    assert frame["missing"].tolist() == [0] * 5
    assert frame["distinct"].tolist() == [3, 3, 3, 1, 3]
    axial = "ORIGINAL\\PRIMARY\\AXIAL"
    assert frame["min"].tolist() == ["2.5", "2024-01-01", "4", axial, "Test^Patient1"]
    assert frame["max"].tolist() == ["10", "2024-01-03", "12", axial, "Test^Patient3"]
    assert frame["mean"].dropna().tolist() == pytest.approx([(9 + 10 + 2.5) / 3, 8])
    every = store.table().describe().to_frame()
    assert {"Modality", "LastUpdated", "BlobStorageSize"} <= set(every["attribute"])


def test_a_sample_is_the_same_each_time(store: dk.Store) -> None:
    """It depends on the instances and the seed, not on the order in which they came."""
    store.upload([ct_slice(s, e, i) for s in (1, 2) for e in (1, 2) for i in (1, 2, 3)])
    table = store.table()
    first = table.sample(4).to_frame()
    assert len(first) == 4
    assert first.equals(table.sample(4).to_frame())
    assert len({tuple(table.sample(4, seed=n).to_frame()["SOPInstanceUID"]) for n in range(4)}) > 1
    assert len(table.sample(100).to_frame()) == 12
    for rows_wanted in (0, -1, 2.5, True):
        with pytest.raises(InvalidArgument, match="sample"):
            table.sample(rows_wanted)  # type: ignore[arg-type]


def test_steps_follow_each_other(store: dk.Store) -> None:
    """What one method gives the next one takes; parameters of both keep their values."""
    store.upload([requested(1), requested(2), ct_slice(2)])
    store.delete_instance(*uids(instance=2))
    steps = store.table().current().flatten(f"{SEQUENCE}.ScheduledProcedureStepID")
    facets = steps.facets(STEP).to_frame()
    assert rows(facets, "value", "instances") == [("S1", 1), ("S2", 1)]
    twice = store.table().sample(3, seed=1).sample(2, seed=2)
    assert len(twice.to_frame()) == 2
    assert len(twice.params) == 4
    assert rows(steps.typed().to_frame(), STEP) == [("S1",), ("S2",)]
    assert rows(store.sql(steps.sql, params=steps.params), STEP) == [("S1",), ("S2",)]


def test_schema_says_what_each_column_is(store: dk.Store) -> None:
    """Every column at every depth, with the attribute that it is."""
    store.upload(with_private())
    schema = store.table().schema()
    assert tuple(schema) == tuple(column.name for column in dk.frames.TABLE_SCHEMA)
    by_path = schema.set_index("path")
    code = by_path.loc[f"{SEQUENCE}.RequestedProcedureCodeSequence.CodeValue"]
    assert tuple(code) == ("STRING", "NULLABLE", "00080100", "SH", "Code Value")
    assert tuple(by_path.loc["SliceThickness"]) == ("STRING", "NULLABLE", "00180050", "DS", "Slice Thickness")
    assert tuple(by_path.loc["Tag_00091010"])[:3] == ("RECORD", "REPEATED", "00091010")
    assert pd.isna(by_path.loc["Type", "tag"])
    assert schema.dtypes.astype(str).eq("str").all()
    assert not schema["path"].duplicated().any()


def test_a_column_that_came_later_is_known(store: dk.Store) -> None:
    """The object is as old as its cell, the table is not."""
    store.upload(ct_slice())
    table = store.table()
    with pytest.raises(InvalidArgument, match="KVP"):
        table.facets("KVP")
    store.upload(ct_slice(2, KVP="120"))
    assert "120" in table.facets("KVP").to_frame()["value"].tolist()


def test_the_table_is_that_of_the_stream(conn: dk.Dataset) -> None:
    """None, several and one that is not there yet each have their remedy in the message."""
    without = conn.create_store("without")
    with pytest.raises(FailedPrecondition, match=r"store\.patch\(stream_to="):
        without.table()
    two = conn.create_store("two", stream_to=[URI, "bq://local.imaging.other"])
    with pytest.raises(FailedPrecondition, match=r"store\.table\('bq://local\.imaging\.other'\)"):
        two.table()
    with pytest.raises(InvalidArgument, match="bq://"):
        two.table("local.imaging.ct")
    table = two.table("bq://local.imaging.other")
    assert table.uri == "bq://local.imaging.other"
    with pytest.raises(NotFound, match="first instance"):
        table.schema()
    two.upload(ct_slice())
    assert len(table.to_frame()) == 1
    assert len(without.table(URI).current().to_frame()) == 1


def test_a_table_of_the_json_schema_is_asked_as_far_as_it_can_tell(conn: dk.Dataset, tmp_path: Path) -> None:
    """Rows are told apart there, too; attributes are no columns, and that is said."""
    config = dk.StreamConfig.to_table("bq://local.imaging.json", schema_json={})
    store = conn.create_store("json", stream_to=config)
    store.upload([ct_slice(1), ct_slice(2)])
    store.delete_instance(*uids(1))
    table = store.table()
    current = table.current()
    assert current.to_frame()["StudyInstanceUID"].tolist() == [f"{ROOT}.2"]
    assert rows(current.facets("StorageClass").to_frame(), "value", "instances") == [("STANDARD", 1)]
    assert len(current.sample(5).to_frame()) == 1
    assert pq.read_table(current.to_parquet(tmp_path / "json.parquet")).num_rows == 1
    with duckdb.connect() as connection:
        current.to_duckdb(connection, "json")
        modality = "SELECT Metadata::JSON->'00080060'->'Value'->>0 FROM json"
        assert connection.execute(modality).fetchall() == [("CT",)]
    assert "Metadata" in current.missing().to_frame()["attribute"].tolist()
    assert "StorageClass" in current.describe().to_frame()["attribute"].tolist()
    for ask in (
        lambda: table.flatten("RequestAttributesSequence.ScheduledProcedureStepID"),
        lambda: table.facets("Modality"),
        table.private,
        table.typed,
    ):
        with pytest.raises(FailedPrecondition, match="schemaJson"):
            ask()
