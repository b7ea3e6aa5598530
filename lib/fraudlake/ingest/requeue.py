"""Records of `quarantine` once more, by the data set as it is now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fraudlake.errors import DataError
from fraudlake.ingest import lines, pipeline
from fraudlake.ingest.formats import csv
from fraudlake.lake.tables import QUARANTINE

if TYPE_CHECKING:
    from fraudlake.datasets import Dataset
    from fraudlake.lake import Lake

# A number that `cards.mask` has hidden digits of.
_MASKED = r"\d{6}\*{3,9}\d{4}|\*{13}"


def requeue(lake: Lake, dataset: Dataset, header: str | None = None) -> dict[str, Any]:
    """Ingest what lies in `quarantine`, and can be read now.

    What cannot stays there, once. What came in stays there too, as an account of what happened; the
    next run counts it among the duplicates.

    Parameters
    ----------
    header
        Of CSV files with a header: the line that names the fields.

    Returns
    -------
    dict
        As of `ingest`; `masked`: records that hold a card number, of which the digits are gone.

    Raises
    ------
    DataError
        Nothing of this data set is in quarantine, or the records there cannot be read again.
    """
    from pyspark.sql import functions as F

    pipeline.require_dataset(lake, dataset)
    again = "run ingest on the input itself again, as nothing comes in twice"
    if dataset.hashed():
        raise DataError(
            f"dataset: got {dataset.name}, which hashes {', '.join(dataset.hashed())}, expected "
            f"one that hashes nothing: the plain texts are not in quarantine; {again}"
        )
    if dataset.joined:
        raise DataError(
            f"dataset: got {dataset.name}, which joins {', '.join(dataset.joined)}, expected one "
            f"that joins nothing: what stands beside a record is not in quarantine; {again}"
        )
    if dataset.format == "csv" and not (header or dataset.files.names):
        raise DataError(
            "header: got none, expected the line that names the fields in the CSV files of "
            f"{dataset.name}; or {again}"
        )
    lake.create(QUARANTINE)
    held = lake.read(QUARANTINE).where(F.col("dataset") == dataset.name)
    whole = ~F.coalesce(F.col("raw").rlike(_MASKED), F.lit(True))
    (counted,) = held.agg(F.count("*").alias("all"), F.count_if(~whole).alias("masked")).collect()
    if not counted["all"]:
        raise DataError(f"quarantine: got no record of {dataset.name}, expected some")
    texts = held.where(whole).select("raw", "source_file")
    if dataset.format == "csv":
        records = lines.parse(texts, csv.syntax(header, dataset, ()), header)
    else:
        records = lines.parse(texts, lines.json_objects(dataset))
    return pipeline.taken(lake, dataset, records) | {"masked": counted["masked"]}
