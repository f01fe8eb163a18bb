/* SPDX-License-Identifier: Apache-2.0
 *
 * Looks at typed values: core's own, and the service "emesh.config/1" of the plugins, which does
 * not give away secrets.
 */
#include "options.h"
#include <string.h>

static const emesh_config_value *
value_at(const emesh_config_option *option, uint64_t index)
{
    return index < option->values->len
               ? &g_array_index(option->values, emesh_config_value, (uint32_t)index)
               : NULL;
}

static emesh_value
shown(const emesh_config_option *option, const emesh_config_value *value)
{
    return (emesh_value){ .size = sizeof(emesh_value),
                          .type = option->option.type,
                          .i = value->i,
                          .d = value->d,
                          .text = { value->text, value->len },
                          .origin = { value->origin, strlen(value->origin) } };
}

bool
emesh_config_get(const emesh_config *config, const char *name, uint32_t index, emesh_value *out)
{
    const emesh_config_option *option = emesh_config_find(config, name);
    const emesh_config_value *value = option != NULL ? value_at(option, index) : NULL;
    if (value == NULL)
        return false;
    *out = shown(option, value);
    return true;
}

const char *
emesh_config_origin(const emesh_config *config, const char *name)
{
    const emesh_config_option *option = emesh_config_find(config, name);
    if (option == NULL)
        return NULL;
    const emesh_config_value *value = value_at(option, 0);
    return value != NULL ? value->origin : "default";
}

const emesh_config_value *
emesh_config_first(const emesh_config *config, const char *prefix, const char *name)
{
    g_autofree char *full = g_strconcat(prefix != NULL ? prefix : "", name, NULL);
    const emesh_config_option *option = emesh_config_find(config, full);
    return option != NULL ? value_at(option, 0) : NULL;
}

int64_t
emesh_config_number(const emesh_config *config, const char *prefix, const char *name)
{
    const emesh_config_value *value = emesh_config_first(config, prefix, name);
    return value != NULL ? value->i : 0;
}

const char *
emesh_config_text(const emesh_config *config, const char *prefix, const char *name)
{
    const emesh_config_value *value = emesh_config_first(config, prefix, name);
    return value != NULL ? value->text : NULL;
}

void
emesh_config_each(const emesh_config *config, emesh_config_visit visit, void *ctx)
{
    for (uint32_t i = 0; i < config->options->len; i++) {
        const emesh_config_option *option = &g_array_index(config->options, emesh_config_option, i);
        if (!option->given && (option->option.may & EMESH_OPT_HIDDEN) != 0)
            continue;
        for (uint32_t v = 0; v < option->values->len; v++) {
            const emesh_config_value *value = value_at(option, v);
            visit(ctx, value->key != NULL ? value->key : option->option.name,
                  value->secret ? "***" : value->text, value->origin);
        }
    }
}

static bool
same_values(const emesh_config_option *a, const emesh_config_option *b)
{
    if (a->values->len != b->values->len)
        return false;
    for (uint32_t i = 0; i < a->values->len; i++) {
        const emesh_config_value *x = value_at(a, i);
        const emesh_config_value *y = value_at(b, i);
        bool same;
        switch (a->option.type) {
        case EMESH_OPT_BOOL:
        case EMESH_OPT_INT:
        case EMESH_OPT_CHOICE:
        case EMESH_OPT_DURATION:
        case EMESH_OPT_SIZE:
            same = x->i == y->i; /* 60s is 1m */
            break;
        case EMESH_OPT_REAL:
            same = x->d == y->d;
            break;
        default:
            same = strcmp(x->text, y->text) == 0 && g_strcmp0(x->key, y->key) == 0;
        }
        if (!same)
            return false;
    }
    return true;
}

emesh_config_change
emesh_config_diff(const emesh_config *a, const emesh_config *b)
{
    if (a->options->len != b->options->len)
        return EMESH_CONFIG_RESTART;
    emesh_config_change change = EMESH_CONFIG_SAME;
    for (uint32_t i = 0; i < a->options->len; i++) {
        const emesh_config_option *x = &g_array_index(a->options, emesh_config_option, i);
        const emesh_config_option *y = emesh_config_find(b, x->option.name);
        if (y == NULL || x->option.type != y->option.type)
            return EMESH_CONFIG_RESTART;
        if (same_values(x, y))
            continue;
        if ((y->option.may & EMESH_OPT_LIVE) == 0)
            return EMESH_CONFIG_RESTART;
        change = EMESH_CONFIG_LIVE;
    }
    return change;
}

/* In the size of the plugin's struct: older and shorter, or newer and longer. */
static void
hand_over(const emesh_value *value, emesh_value *out)
{
    const uint32_t size = out->size;
    memcpy((char *)out + sizeof size, (const char *)value + sizeof size,
           MIN(size, sizeof *value) - sizeof size);
    if (size > sizeof *value)
        memset((char *)out + sizeof *value, 0, size - sizeof *value);
}

static int32_t
service_get(const emesh_config *cfg, const char *name, uint32_t index, emesh_value *out)
{
    if (cfg == NULL || name == NULL || out == NULL || out->size < sizeof out->size)
        return EMESH_E_INVALID;
    const emesh_config_option *option = emesh_config_find(cfg, name);
    if (option == NULL || option->option.type == EMESH_OPT_MAP)
        return EMESH_E_NOT_FOUND;
    const emesh_config_value *value = value_at(option, index);
    if (value == NULL)
        return EMESH_E_NOT_FOUND;
    if (value->secret)
        return EMESH_E_DENIED;
    const emesh_value all = shown(option, value);
    hand_over(&all, out);
    return EMESH_OK;
}

static int32_t
service_next(const emesh_config *cfg, const char *map, uint64_t *cursor, emesh_slice *key,
             emesh_value *out)
{
    if (cfg == NULL || map == NULL || cursor == NULL || key == NULL || out == NULL ||
        out->size < sizeof out->size)
        return EMESH_E_INVALID;
    const emesh_config_option *option = emesh_config_find(cfg, map);
    if (option == NULL)
        return EMESH_E_NOT_FOUND;
    if (option->option.type != EMESH_OPT_MAP)
        return EMESH_E_INVALID;
    const emesh_config_value *value = value_at(option, *cursor);
    if (value == NULL)
        return EMESH_E_NOT_FOUND;
    (*cursor)++;
    emesh_value all = shown(option, value);
    if (value->secret)
        all.text = (emesh_slice){ "", 0 };
    *key = (emesh_slice){ value->key + emesh_map_prefix(map),
                          strlen(value->key) - emesh_map_prefix(map) };
    hand_over(&all, out);
    return EMESH_OK;
}

static const emesh_config_value *
value_of_key(const emesh_config *cfg, const char *name)
{
    const emesh_config_option *option = emesh_config_find(cfg, name);
    if (option != NULL && option->option.type != EMESH_OPT_MAP)
        return value_at(option, 0);
    for (uint32_t i = 0; i < cfg->options->len; i++) {
        option = &g_array_index(cfg->options, emesh_config_option, i);
        for (uint32_t v = 0; v < option->values->len; v++) {
            const emesh_config_value *value = value_at(option, v);
            if (value->key != NULL && strcmp(value->key, name) == 0)
                return value;
        }
    }
    return NULL;
}

static int32_t
service_secret(const emesh_config *cfg, const char *name,
               int32_t (*use)(void *ctx, const char *secret, size_t len), void *ctx)
{
    if (cfg == NULL || name == NULL || use == NULL)
        return EMESH_E_INVALID;
    const emesh_config_value *value = value_of_key(cfg, name);
    if (value == NULL)
        return EMESH_E_NOT_FOUND;
    const size_t len = value->len;
    char *copy = g_strndup(value->text, len);
    const int32_t code = use(ctx, copy, len);
    explicit_bzero(copy, len);
    g_free(copy);
    return code;
}

const emesh_config_api emesh_config_service = { .size = sizeof(emesh_config_api),
                                                .get = service_get,
                                                .next = service_next,
                                                .secret = service_secret };
