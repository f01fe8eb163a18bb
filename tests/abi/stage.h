/* SPDX-License-Identifier: Apache-2.0
 *
 * What a test of instances stands on: main, two workers, a pool, services and an env; and waiting.
 */
#pragma once
#include "plugin/inst.h"

typedef struct stage {
    emesh_inst_env env;
    emesh_worker *workers[2];
    emesh_services *services;
    char *data;
    int32_t up_code;
    bool up_over, down_over;
} stage;

void stage_open(stage *s);
void stage_close(stage *s);
/* An instance of a component; text is the body of its file below [instance]. NULL: *error. */
emesh_inst *stage_try(stage *s, const emesh_plugin *plugin, const char *name, const char *text,
                      GError **error);
emesh_inst *stage_new(stage *s, const emesh_plugin *plugin, const char *name, const char *text);
int32_t stage_up(stage *s, emesh_inst *inst);   /* waits */
void stage_down(stage *s, emesh_inst *inst);    /* waits */
/* Turns the main loop until done(ctx); fails the test after 20 s. */
void stage_wait(bool (*done)(const void *ctx), const void *ctx);
void stage_wait_flag(const bool *flag);
