"""Generation: phases of calls, each aimed at what a kind of fault needs to show."""
