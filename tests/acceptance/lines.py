"""What aisio promises to do like the systems that it covers, line by line.

A line marked with "!" does better than the original on purpose.
"""
# ruff: noqa: E501 - a line here is a line of a table

from __future__ import annotations

from collections.abc import Mapping

AISTORE: Mapping[str, str] = {
    "AIS-01": "Sources list objects lazily, with name and size, under a prefix; and URLs, with an ETL if asked.",
    "AIS-02": "A dataset without a source is refused by its own name; a single source needs no list.",
    "AIS-03": "prefix_map: nothing means all, a string one prefix, a list several in order; for each source.",
    "AIS-04 !": "Object groups honour the prefix.",
    "AIS-05": "Map dataset: listed once, (name, bytes), length, index errors, negative indices, `__getitems__`.",
    "AIS-06": "Iterable dataset: lazy, can be iterated again, (name, bytes) in the order of the listing.",
    "AIS-07": "Workers: item i goes to worker i mod n, none twice, none lost; or whole sources to workers.",
    "AIS-08": "Fork and spawn.",
    "AIS-09": "`count()` of an iterable dataset counts and leaves the dataset usable; `len()` is what it was told.",
    "AIS-10": "Progress bars if asked, which name the worker.",
    "AIS-11": "Members of a shard with one basename are a sample: (basename, {extension: bytes}).",
    "AIS-12": 'Fields that a sample lacks are b""; torch\'s default collate and pickle work.',
    "AIS-13 !": "Dots in folders, names without extension and folders do no harm; equal basenames stay apart.",
    "AIS-14": "An object that is no tar is an error with class and cause.",
    "AIS-15 !": "`count()` of a shard reader counts samples.",
    "AIS-16 !": "Several streams of shards in step, one member of each, split over workers.",
    "AIS-17 !": "One session a thread of a worker, made on first use, never shared after fork, never nested.",
    "AIS-18": "Batches by bytes.",
    "AIS-19": "Listing datapipe: prefixes -> URLs, under both functional names.",
    "AIS-20": "Loading datapipe: URLs -> (URL, stream), with ETL; source datapipe, with prefix and ETL.",
    "AIS-21": "A missing bucket is a 404; URLs that cannot be meant are refused with an explanation.",
    "AIS-22": "URLs of ais, s3 or aws, gcp or gs parse and come back.",
    "AIS-23": "One large object by ranges in parallel; many small ones by batches.",
}

BIONEMO: Mapping[str, str] = {
    "NGC-01": "A catalog is every *.yaml and *.yml directly in a folder; full tag = file stem / tag.",
    "NGC-02": "The fields of a resource and their types; which ones are required.",
    "NGC-03": "Each field that cannot be meant is refused with file, tag and field.",
    "NGC-04 !": "A registry target that cannot be meant is refused like any other field.",
    "NGC-05 !": "A tag twice, a missing folder, an empty file.",
    "NGC-06": "A catalog is read once in a process, and again if asked.",
    "NGC-07": "The catalog files of bionemo-core 2.4.5 parse unchanged.",
    "NGC-08": "Errors of `load` about tag and source in the original's order and words, all of them ValueErrors.",
    "NGC-09": "The default source comes from the environment at the time of the call; else ngc.",
    "NGC-10": "Cache folder: argument, environment, the user's; not writable: an error that names the variable.",
    "NGC-11": "From an S3 store: size first, progress, ten retries.",
    "NGC-12 !": "The S3 store's endpoint can be set.",
    "NGC-13": "Names in the cache: {sha256}-{last part of the S3 URL}, whatever the source.",
    "NGC-14 !": "Resources without a digest never share a file.",
    "NGC-15": "The digest is checked before the file has its name; a wrong one leaves nothing.",
    "NGC-16": "A cached file with the wrong digest is downloaded again, one with the right one is not.",
    "NGC-17": "Without a digest a cached file is taken as it is; after a download its digest is logged.",
    "NGC-18": "Names of what is unpacked: .decomp, .untar, .unzip.",
    "NGC-19": "`decompress: false` and `unpack: false` give the file itself.",
    "NGC-20 !": "The longest known ending decides how to unpack.",
    "NGC-21": "A member that is gone is unpacked again, not downloaded.",
    "NGC-22 !": "Members that lead out of their folder are refused, on every Python.",
    "NGC-23 !": "A verified entry is neither hashed nor unpacked again; what was edited, goes or comes is noticed; an edit inside a member when it is rechecked.",
    "NGC-24": "Registry: models and resources, the one file that was asked for, its name when it is right.",
    "NGC-25 !": "Registry: the latest version where none is named; files in folders.",
    "NGC-26": "Registry: NVIDIA's client reads the same server; guests and keys, refused keys.",
    "NGC-27": "Registry: what is missing, not complete, not found or not licensed is told apart.",
    "NGC-28": "The table of resources.",
    "NGC-29": "The command prints one path on stdout and everything else on stderr.",
    "NGC-30 !": "The command's flags, alone and together; exit codes; `python -m`.",
    "NGC-31": "--all loads every entry in order and reports on stderr.",
    "NGC-32": "Many processes load one tag: one download.",
}

OSS: Mapping[str, str] = {
    "OSS-01": "Empty arguments, and texts that are no URL, are refused in words, with what to write.",
    "OSS-02": "A prefix is listed page by page, without folder markers; empty objects are data, or left out.",
    "OSS-03": "Objects by URL: one or many, in their order, with sizes that nobody said.",
    "OSS-04": "A transform gets a file with key, size and label; (name, bytes) by default, safe to keep.",
    "OSS-05 !": "A missing object has one rule, by index and in a batch: an error, None, or left out.",
    "OSS-06 !": "A batch is read concurrently, in its order; empty objects are fine.",
    "OSS-07": "Iterable: can be iterated again; missing objects are skipped if asked, and counted.",
    "OSS-08": "Workers share one listing, and each object is read once.",
    "OSS-09 !": "Fork and spawn, also after the parent has read.",
    "OSS-10": "Manifest, local or remote, by a parser of the caller: labels; URL = base + key.",
    "OSS-11 !": "Tab-separated manifest: one column or more, blank lines skipped, either line end.",
    "OSS-12": "Every listing is complete; there is no other, faster way that gives up the order.",
    "OSS-42": "A local folder is a source with the same API.",
}

WEB_DATA_MODULE: Mapping[str, str] = {
    "WDM-01": "Split has train, val and test; constructor arguments and their order.",
    "WDM-02": "The newer form too: no n_samples and global_batch_size; invoke_wds, invoke_wld.",
    "WDM-03": "Different splits are a RuntimeError, suffixes of another type a TypeError.",
    "WDM-04": "setup: fit, validate, test and predict choose the splits; other stages and absent folders are errors.",
    "WDM-05": "Shards are {folder}/{prefix}-*.tar, sorted; the folder may be one of any store, or a name in the catalog.",
    "WDM-06 !": "No shard is an error with split, folder and pattern; a loader before setup a ValueError.",
    "WDM-07": "One or several suffixes: decoded elements of a tuple, in the given order.",
    "WDM-08 !": "Pipelines: a callable, an iterable of callables, None; a split that is left out counts as None.",
    "WDM-09": "Prebatch pipelines get unbatched samples: there is no hidden batch dimension.",
    "WDM-10": "ceil(n_samples / global_batch_size) batches: data that is short is begun anew, more is cut.",
    "WDM-11": "Keyword arguments reach dataset and loader; invoked methods come in order after the pipelines.",
    "WDM-12": "The predict loader is the test loader; the base class prepares no data.",
    "WDM-13": "The same seed gives the same order of dataset and loader, another one another; epochs differ.",
    "WDM-14": "More workers than shards are an error that says so.",
    "WDM-15": "Every sample exactly once with 0, 1, 2 and 4 workers.",
    "WDM-16": "Lightning's Trainer sees exactly the loaders' batches in fit, validate, test and predict.",
    "WDM-17": "Split by node: ranks have different shards, and together all.",
    "WDM-18": "Shards {prefix}-%06d.tar with members {key}.{suffix}; the key is the name with '-' for '.'.",
    "WDM-19": "Samples a shard: len(names) // min_num_shards, 100,000 by default; a minimum below 1 is a ValueError.",
    "WDM-20 !": "Never an empty shard; where there are fewer samples than shards each has its own.",
    "WDM-21 !": "A missing file is a RuntimeError that names the sample; pickles are copied, never loaded.",
    "WDM-22 !": "A smaller set leaves no shard of a larger one; a run that fails leaves the old set.",
    "WDM-23 !": "Two names of one key are refused.",
    "WDM-24": "PickledDataWDS: n_samples from the names; each split's shards in its own folder, without overlap.",
}

OSS_TARS: Mapping[str, str] = {
    "OSS-13": "The index of a tar, byte for byte as the original writes it.",
    "OSS-14": "An index is read; each kind of damage has its own error.",
    "OSS-15": "Regular files are entries; long names, PAX, prefixes, links, hard links and folders are handled.",
    "OSS-16 !": "An index that is not that of the tar is told.",
    "OSS-17": "The index of an existing tar; a compressed, cut or damaged one is an error.",
    "OSS-18": "Tar and index of a folder or a prefix, written to a folder or a bucket.",
    "OSS-19 !": "Generated tars are sorted, with relative names and the files' modes; a missing source is an error.",
    "OSS-20 !": "By index: one request for a file, or for neighbours; key, size and label; index errors, negative indices.",
    "OSS-21": "Tar and index in different buckets, and a missing or wrong index, are errors.",
    "OSS-22": "Iterable: every file once, with any number of workers.",
    "OSS-23": "Shuffled chunks of about the given size, divided among workers, also where there are fewer chunks.",
    "OSS-24 !": "The shuffled order depends on seed and epoch alone.",
}

SYSTEMS: Mapping[str, Mapping[str, str]] = {
    "AIStore's PyTorch plugin": AISTORE,
    "BioNeMo's `load(tag)`": BIONEMO,
    "Alibaba's OSS connector: objects": OSS,
    "BioNeMo's WebDataModule": WEB_DATA_MODULE,
    "Alibaba's OSS connector: tars": OSS_TARS,
}
