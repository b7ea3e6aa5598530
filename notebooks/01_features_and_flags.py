# %% [markdown]
# # From a lake to a question
#
# What a data scientist sees after `fraudlake demo`: the tables as DataFrames, a feature set, the
# champion, and why a transaction was flagged. Run it cell by cell, or as a script:
#
#     .venv/bin/python notebooks/01_features_and_flags.py build/demo/lake

# %%
import sys

from pyspark.sql import Window
from pyspark.sql import functions as F

from fraudlake import session
from fraudlake.features.definition.feature_set import load_feature_set
from fraudlake.lake import Lake
from fraudlake.lake.tables import FEATURES, FLAGGED, LABELS
from fraudlake.registry import Registry

spark = session.open_spark("notebook")
lake = Lake(spark, sys.argv[1] if len(sys.argv) > 1 else "build/demo/lake")

# %% [markdown]
# ## The features
# A feature set is a list of names with meanings; the table has one row a transaction.

# %%
feature_set = load_feature_set("handbook")
print(feature_set.hash, [feature.name for feature in feature_set.features])
features = lake.read(FEATURES)
features.select("tx_id", "event_time", *[f.name for f in feature_set.features]).show(5)

# %% [markdown]
# ## How much a feature says alone
# The share of fraud by tenths of a feature, among transactions with a label.

# %%
labelled = features.join(lake.read(LABELS).select("tx_id", "is_fraud"), "tx_id")
tenth = F.ntile(10).over(Window.orderBy("customer_mean_amount_7d"))
labelled.sample(0.05, seed=1).withColumn("tenth", tenth).groupBy("tenth").agg(
    F.min("customer_mean_amount_7d").alias("from"),
    F.avg(F.col("is_fraud").cast("int")).alias("fraud"),
).orderBy("tenth").show()

# %% [markdown]
# ## The champion
# Any version is an MLflow model too; our own loader checks its digest and gives contributions.

# %%
registry = Registry(lake.root)
version = registry.resolve("champion")
scorer = registry.load(version)
print(version, scorer.kind, registry.metrics(version))

# %% [markdown]
# ## Why was it flagged?

# %%
flag = lake.read(FLAGGED).orderBy(F.desc("score"), "tx_id").first()
row = features.where(F.col("tx_id") == flag["tx_id"]).select(*scorer.features).toPandas()
contributions = scorer.contributions(row.to_numpy(float))[0]
print(f"transaction {flag['tx_id']}: score {flag['score']:.3f}, base {scorer.base():+.2f} log-odds")
for name, value, push in sorted(
    zip(scorer.features, row.iloc[0], contributions, strict=True), key=lambda part: -abs(part[2])
):
    print(f"  {name:35} {value:10.2f} {push:+.3f}")

# %%
spark.stop()
