"""The collector: the tracking protocol of Segment and RudderStack over HTTP, so that their SDKs work unchanged.

One request goes through these modules, each of which knows nothing of the ones after it:

1. `http`: the route, the deadline and the size of what is read (`reading`);
2. `body`: bytes become raw messages, whatever the content type says;
3. `keys`: who is asking, and how far they are trusted;
4. `translate`: one message becomes one record (`names`, `values`, `money`, `times`, `consents` are its tables);
5. `acknowledge`: the records go to the log, and 200 is answered when they are durable, never before.

All but `http`, `reading` and `acknowledge` are pure. What is refused is refused with a code and a sentence
(`answers`); nothing a client sends makes any of this raise anything else.
"""

from pipeline.producers.collector.http import Collector
from pipeline.producers.collector.keys import Keys
from pipeline.producers.collector.measures import Measures, Unmeasured
from pipeline.producers.collector.options import CollectorOptions

__all__ = ["Collector", "CollectorOptions", "Keys", "Measures", "Unmeasured"]
