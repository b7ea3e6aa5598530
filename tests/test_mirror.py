"""`tests/` mirrors the library: a module's test has its name, or stands here with what tests it."""

from __future__ import annotations

import pytest
from tests.conftest import ROOT

LIBRARY, TESTS = ROOT / "lib" / "fraudlake", ROOT / "tests"
# A module, or all of a folder, without a test file of its name → the one that tests it.
ELSEWHERE = {
    "cli": "test_job",
    "columns": "test_datasets",
    "errors": "test_config",
    "session": "test_job",
    "features/definition/blocks": "features/definition/test_feature_set",
    "features/batch/addresses": "features/batch/test_partition",
    "features/batch/changing": "features/table/test_changed",
    "features/batch/fan_out": "features/batch/test_partition",
    "features/batch/home": "features/batch/test_partition",
    "features/exchange": "features/test_rows",
    "features/kernels": "features/operations/test_operations",
    "features/labels": "features/batch/test_compute",
    "features/operations": "features/operations/test_operations",
    "features/stages": "features/test_plans",
    "features/state/entities": "features/test_plans",
    "features/state/label_changes": "features/test_plans",
    "features/state/micro_batch": "features/test_plans",
    "features/state/run_files": "features/state/test_sorted_runs",
    "features/state/single": "features/test_plans",
    "features/state/stores": "features/test_plans",
    "features/state/tasks": "features/test_plans",
    "features/table/arrivals": "features/table/test_increment",
    "features/table/files": "features/table/test_build",
    "features/table/layout": "features/table/test_increment",
    "features/table/notes": "features/table/test_build",
    "feeds": "test_datasets",
    "ingest/counts": "ingest/test_pipeline",
    "ingest/files": "ingest/test_sources",
    "ingest/formats": "ingest/test_sources",
    "layout": "ingest/test_layouts",
    "ingest/hashes": "ingest/test_pipeline",
    "ingest/lines": "ingest/test_sources",
    "ingest/nested": "ingest/test_layouts",
    "ingest/records": "ingest/test_sources",
    "lake/commits": "lake/test_lake",
    "lake/delta_log": "lake/test_lake",
    "lake/plain": "lake/test_scan",
    "lake/tables": "lake/test_lake",
    "lake/violations": "lake/test_constraints",
    "launch/ddp_spark": "launch/test_launchers",
    "launch/group": "launch/test_launchers",
    "launch/horovod_spark": "launch/test_launchers",
    "models/kind": "models/test_kinds",
    "models/nets": "models/test_mlp",
    "profile/counts": "profile/test_pipeline",
    "profile/identity": "profile/test_roles",
    "profile/kinds": "profile/test_roles",
    "profile/page": "profile/test_pipeline",
    "profile/propose": "profile/test_roles",
    "profile/reading": "profile/test_pipeline",
    "registry/studies": "training/test_search",
    "reports/probe": "scoring/test_probe",
    "reports/search": "training/test_search",
    "registry/common": "registry/test_shared",
    "registry/pyfunc_scorer": "registry/test_pyfunc",
    "reports/contest": "training/test_end_to_end",
    "reports/models": "registry/test_aliases",
    "reports/plots": "training/test_end_to_end",
    "reports/terminal": "test_demo",
    "scoring/apply": "scoring/test_batch",
    "serve/state_reader": "serve/test_scorer",
    "service/admission": "service/test_model_watch",
    "simulate/fraud": "simulate/test_behaviour",
    "simulate/records": "simulate/test_files",
    "simulate/world": "simulate/test_behaviour",
    "stream/as_of": "stream/test_scorer",
    "stream/history": "stream/test_scorer",
    "stream/state": "stream/test_scorer",
    "stream/writes": "stream/test_two_streams",
    "training/train": "training/test_end_to_end",
    "words": "test_datasets",
    "writing": "test_datasets",
}
# Folders that mirror something else.
OTHERS = {"", "benchmarks", "scripts"}


def names(folder, pattern):
    paths = (path.relative_to(folder).with_suffix("") for path in folder.rglob(pattern))
    return {str(path) for path in paths}


MODULES = {name for name in names(LIBRARY, "*.py") if not name.endswith("__init__")}
PACKAGES = {name.removesuffix("/__init__") for name in names(LIBRARY, "*/__init__.py")}
FILES = names(TESTS, "test_*.py")


def its_test(module):
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}".lstrip("/")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_has_its_test(module):
    folder = module.rpartition("/")[0]
    tested = {its_test(module), its_test(folder)} & FILES or {module, folder} & ELSEWHERE.keys()
    assert tested, f"expected tests/{its_test(module)}.py, or in ELSEWHERE what tests {module}"


def test_a_folder_of_tests_has_its_package():
    assert {file.rpartition("/")[0] for file in FILES} <= PACKAGES | OTHERS


def test_what_is_listed_is_there_and_needs_to_be():
    assert not ELSEWHERE.keys() - MODULES - PACKAGES
    assert not set(ELSEWHERE.values()) - FILES
    assert not [module for module in ELSEWHERE if its_test(module) in FILES and module in MODULES]
