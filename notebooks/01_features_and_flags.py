# %% [markdown]
# # From a lake to a question
#
# What a data scientist sees once the jobs `ingest`, `features`, `train` and `score` have run: the
# tables as DataFrames, a feature set, the champion, and why a transaction was flagged. For any data
# set; without words, the lake of `fraudlake demo`. Run it cell by cell, or as a script:
#
#     .venv/bin/python notebooks/01_features_and_flags.py [LAKE] [FEATURE_SET]

# %%
import sys

from pyspark.sql import Window
from pyspark.sql import functions as F

import fraudlake
from fraudlake import FEATURES, LABELS, SCORES

# A notebook's own process has words that are not ours.
words = [] if "ipykernel" in sys.modules else sys.argv[1:]
root = words[0] if words else "build/demo/lake"
name = words[1] if words[1:] else "handbook"
spark = fraudlake.open_spark("notebook")
lake = fraudlake.Lake(spark, root)

# %% [markdown]
# ## The features
# A feature set is a list of names with meanings; the table has one row a transaction.

# %%
feature_set = fraudlake.load_feature_set(name)
for feature in feature_set.features:
    print(f"{feature.name:35} {fraudlake.meaning(feature)}")
features = lake.read(FEATURES)
features.select("tx_id", "event_time", *[f.name for f in feature_set.features]).show(5)

# %% [markdown]
# ## How much a feature says alone
# The share of fraud by tenths of a feature, among transactions whose label was known at the end of
# the table. A label may be corrected later: a transaction counts once, by its last statement.

# %%
numbers = [f for f in feature_set.features if f.sql_type != "string"]
shown = next((f for f in numbers if f.entity), numbers[0]).name
first, last = features.agg(F.min("event_time"), F.max("event_time")).first()
labelled = features.join(fraudlake.latest_labels(lake.read(LABELS), first, last), "tx_id")
sample = labelled.sample(min(1.0, 50_000 / labelled.count()), seed=1)
tenth = F.ntile(10).over(Window.orderBy(shown))
sample.withColumn("tenth", tenth).groupBy("tenth").agg(
    F.min(shown).alias(f"{shown} from"),
    F.avg("label").alias("share of fraud"),
).orderBy("tenth").show()

# %% [markdown]
# ## The champion
# Any version is an MLflow model too; our own loader checks its digest and gives contributions.

# %%
registry = fraudlake.Registry(lake.root)
version = registry.resolve("champion")
scorer = registry.load(version)
print(version, scorer.kind, registry.metrics(version))

# %% [markdown]
# ## Why has it the highest score?
# What each feature adds, in log-odds, and what its value says. `fraudlake why TX` prints the same
# of any transaction.

# %%
scores = lake.read(SCORES).where(F.col("model_version") == version)
top = scores.orderBy(F.desc("score"), "tx_id").first()
row = features.where(F.col("tx_id") == top["tx_id"]).select(*scorer.features).toArrow()
matrix = fraudlake.to_matrix(row, scorer.features, scorer.encodings)
contributions = scorer.contributions(matrix)[0]
by_name = {feature.name: feature for feature in feature_set.features}
print(f"transaction {top['tx_id']}: score {top['score']:.3f}, base {scorer.base():+.2f} log-odds")
for feature, added in sorted(
    zip(scorer.features, contributions, strict=True), key=lambda pair: -abs(pair[1])
):
    said = fraudlake.sentence(by_name[feature], row[feature][0].as_py())
    print(f"  {added:+.3f}  {said}")

# %%
spark.stop()
