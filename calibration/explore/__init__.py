"""What costs how much, and what would be better: recipes, layers and numbers of images, tried out."""
