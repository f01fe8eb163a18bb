/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests do to a broker besides reading and writing, which kcat does: topics with options, more
 * partitions, transactions that commit and abort, a topic deleted under its readers. A plain client;
 * knows nothing of the plugin.
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static rd_kafka_t *
client(const char *brokers, const char *transactions)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    char why[256];
    rd_kafka_t *rk;

    rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why);
    rd_kafka_conf_set(conf, "linger.ms", "1", why, sizeof why);
    if (transactions != NULL)
        rd_kafka_conf_set(conf, "transactional.id", transactions, why, sizeof why);
    rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL)
        fprintf(stderr, "kafka-tool: %s\n", why);
    return rk;
}

static int
failed(const char *what, const char *why)
{
    fprintf(stderr, "kafka-tool: %s: %s\n", what, why);
    return 1;
}

/* The error of the one topic that an admin event is about. */
static int
judge(const char *what, rd_kafka_event_t *event)
{
    const rd_kafka_topic_result_t **all = NULL;
    size_t n = 0;

    if (event == NULL)
        return failed(what, "no answer");
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failed(what, rd_kafka_event_error_string(event));
    if (rd_kafka_event_CreateTopics_result(event) != NULL)
        all = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    else if (rd_kafka_event_DeleteTopics_result(event) != NULL)
        all = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
    else if (rd_kafka_event_CreatePartitions_result(event) != NULL)
        all = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &n);
    if (n != 1 || rd_kafka_topic_result_error(all[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return failed(what, n == 1 ? rd_kafka_topic_result_error_string(all[0]) : "no result");
    rd_kafka_event_destroy(event);
    return 0;
}

/* create TOPIC PARTITIONS [KEY=VALUE…] */
static int
create(rd_kafka_t *rk, int argc, char **argv)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char why[256];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(argv[0], atoi(argv[1]), 1, why, sizeof why);

    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        *value++ = '\0';
        rd_kafka_NewTopic_set_config(topic, argv[i], value);
    }
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    return judge("create", rd_kafka_queue_poll(queue, 20000));
}

static int
delete_topic(rd_kafka_t *rk, char **argv)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(argv[0]);

    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    return judge("delete", rd_kafka_queue_poll(queue, 20000));
}

/* partitions TOPIC N */
static int
partitions(rd_kafka_t *rk, char **argv)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    char why[256];
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(argv[0], (size_t)atoi(argv[1]), why, sizeof why);

    rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
    return judge("partitions", rd_kafka_queue_poll(queue, 20000));
}

static int
fine(const char *what, rd_kafka_error_t *error)
{
    return error == NULL ? 0 : failed(what, rd_kafka_error_string(error));
}

static int
produce(rd_kafka_t *rk, const char *topic, const char *text)
{
    rd_kafka_resp_err_t err = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(0),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE((void *)text, strlen(text)),
        RD_KAFKA_V_HEADER("ce_specversion", "1.0", 3), RD_KAFKA_V_HEADER("ce_id", text, -1),
        RD_KAFKA_V_HEADER("ce_source", "/tool", -1), RD_KAFKA_V_HEADER("ce_type", "t", -1),
        RD_KAFKA_V_HEADER("content-type", "text/plain", -1), RD_KAFKA_V_END);

    return err == RD_KAFKA_RESP_ERR_NO_ERROR ? 0 : failed("produce", rd_kafka_err2str(err));
}

/* transactions TOPIC N: N transactions of one event each, every second one aborted */
static int
transactions(rd_kafka_t *rk, char **argv)
{
    int bad = fine("init", rd_kafka_init_transactions(rk, 20000));

    for (int i = 0; i < atoi(argv[1]) && bad == 0; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s %d", i % 2 == 0 ? "committed" : "aborted", i);
        bad = fine("begin", rd_kafka_begin_transaction(rk));
        if (bad == 0)
            bad = produce(rk, argv[0], text);
        if (bad == 0)
            rd_kafka_flush(rk, 10000);
        if (bad == 0)
            bad = fine("end", i % 2 == 0 ? rd_kafka_commit_transaction(rk, 20000)
                                         : rd_kafka_abort_transaction(rk, 20000));
    }
    return bad;
}

int
main(int argc, char **argv)
{
    rd_kafka_t *rk;
    int bad = 2;

    if (argc < 4) {
        fprintf(stderr, "usage: kafka-tool BROKERS create|delete|partitions|transactions TOPIC …\n");
        return 2;
    }
    rk = client(argv[1], strcmp(argv[2], "transactions") == 0 ? argv[3] : NULL);
    if (rk == NULL)
        return 1;
    if (strcmp(argv[2], "create") == 0 && argc > 4)
        bad = create(rk, argc - 3, argv + 3);
    else if (strcmp(argv[2], "delete") == 0)
        bad = delete_topic(rk, argv + 3);
    else if (strcmp(argv[2], "partitions") == 0 && argc > 4)
        bad = partitions(rk, argv + 3);
    else if (strcmp(argv[2], "transactions") == 0 && argc > 4)
        bad = transactions(rk, argv + 3);
    rd_kafka_destroy(rk);
    return bad;
}
