/* Prints what the static program reads of picture files: CHANNELS PATH... */
#include "picture.h"

#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  int channels = atoi(arguments[1]);
  for (int i = 2; i < count; i++) {
    edgec_picture picture;
    const char *error = edgec_read_picture(arguments[i], channels, &picture);
    if (error) {
      printf("%s\n", error);
      continue;
    }
    printf("%d x %d:", picture.height, picture.width);
    for (int k = 0; k < picture.height * picture.width * channels; k++) printf(" %d", picture.pixels[k]);
    printf("\n");
    free(picture.pixels);
  }
  return 0;
}
