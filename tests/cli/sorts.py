"""English sentences of four sorts that a base tells apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SORTS: Mapping[str, Sequence[str]] = {
    "weather": (
        *("will it rain in the mountains tomorrow", "how cold does it get at night this week"),
        *("is a storm coming our way", "tell me the forecast for the weekend"),
        *("do I need an umbrella today", "how strong is the wind near the coast"),
        *("when will the snow finally melt", "is it going to be sunny on Friday"),
        *("what is the temperature outside", "are there any thunderstorms expected"),
        *("how humid is the air this morning", "will the fog be gone by noon"),
    ),
    "cooking": (
        *("how long do I boil potatoes", "what can I use instead of butter in a cake"),
        *("give me a recipe for tomato soup", "at what heat do I roast a chicken"),
        *("how much salt goes into bread dough", "is it safe to freeze cooked rice"),
        *("how do I stop an omelette from sticking", "which spices belong in a curry"),
        *("can I bake cookies without eggs", "how thin should I slice onions for frying"),
        *("what sauce goes well with pasta", "how do I thicken a vegetable stew"),
    ),
    "banking": (
        *("what is the balance of my savings account", "transfer money to my checking account"),
        *("my credit card has been stolen", "what interest do you pay on deposits"),
        *("why was I charged a fee for this withdrawal", "I want to order new cheques"),
        *("how do I raise the limit of my card", "freeze my account right away"),
        *("is there a cash machine near me that is free", "when is my loan payment due"),
        *("what is the routing number of my bank", "show me last month's transactions"),
    ),
    "music": (
        *("play something by the Beatles", "who sang this song in the eighties"),
        *("turn up the volume of the guitar track", "add this tune to my playlist"),
        *("skip to the next album", "when does that band go on tour"),
        *("what key is this piano piece in", "shuffle my favourite jazz records"),
        *("which composer wrote this symphony", "play the radio quietly in the kitchen"),
        *("name the drummer of this group", "find me lyrics of that old ballad"),
    ),
}
