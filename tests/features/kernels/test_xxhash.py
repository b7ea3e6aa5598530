"""Spark's hashes, so that a stream's state of earlier versions keeps its partitions."""

import random

import numpy as np

from fraudlake.features.kernels.xxhash import of_integers, of_texts


def test_hashes_are_those_of_spark(spark):
    random.seed(1)
    texts = ["".join(random.choice("ab:1ü€\0") for _ in range(length)) for length in range(100)] * 2
    numbers = [0, 1, -1, 2**63 - 1, -(2**63), *(random.getrandbits(40) for _ in range(100))]
    of_text = spark.createDataFrame([(t,) for t in texts], "value string")
    of_number = spark.createDataFrame([(n,) for n in numbers], "value bigint")
    for found, frame in (
        (of_texts([text.encode() for text in texts]), of_text),
        (of_integers(np.array(numbers)), of_number),
    ):
        expected = [row[0] for row in frame.selectExpr("xxhash64(value)").collect()]
        assert found.tolist() == expected


def test_no_values():
    assert of_texts([]).tolist() == of_integers(np.array([], np.int64)).tolist() == []
