"""What is wrong with labelled data, and which texts to label next, as a base sees it."""
